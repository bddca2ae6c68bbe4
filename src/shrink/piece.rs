//! The smallest piece of a network that shows a finding that no single node shows. Such findings exist because
//! engines fuse nodes, reuse memory and choose layouts across nodes.
//!
//! A piece is first a window of nodes in the order of their evaluation. The window grows around a suspect, or begins
//! as the whole network. Halving then finds its ends, and its nodes are left out one at a time.

use super::oracle::{Finding, Oracle};
use super::specimen::Specimen;
use crate::engine::{NodeSteps, Values};
use crate::inputs::Feed;
use std::collections::BTreeSet;
use std::ops::Range;

/// Up to this many nodes are left out one at a time. Each node costs a run or two.
const MOST_NODES: usize = 64;

/// Nodes that show the finding together.
pub(super) struct Piece {
    /// The labels of the nodes, in the order of their evaluation.
    pub(super) labels: Vec<String>,
    /// The network of the nodes, on the reference's values.
    pub(super) specimen: Specimen,
    /// The finding that the piece shows.
    pub(super) finding: Finding,
}

/// A search for a piece.
struct PieceSearch<'s, 'o, 'a> {
    steps: NodeSteps,
    feeds: &'s [Feed],
    oracle: &'s mut Oracle<'o>,
    announce: &'a mut dyn FnMut(&str),
    /// The values of the reference that were captured last.
    values: Values,
}

/// The smallest piece found. `None` if only the whole network shows the finding.
///
/// # Errors
/// If the reference refuses the nodes that depend on constants only.
pub(super) fn find_piece(
    whole: &Specimen,
    suspects: &[String],
    at_first: Finding,
    oracle: &mut Oracle<'_>,
    announce: &mut dyn FnMut(&str),
) -> Result<Option<Piece>, String> {
    let steps = NodeSteps::with_second(&whole.model, oracle.second.clone())?;
    let count = steps.len();
    let suspect = (0..count).find(|&step| suspects.contains(&steps.node(step).0));
    let mut search =
        PieceSearch { steps, feeds: &whole.feeds, oracle, announce, values: Values::new() };
    let grown = suspect.and_then(|step| search.grow(step));
    let (window, finding) = match grown {
        Some(found) => found,
        None if at_first.is_wrong() => (0..count, at_first),
        None => return Ok(None),
    };
    let window = search.shorten(window, finding);
    let nodes = search.thin(window.collect(), finding);
    if nodes.len() == count {
        return Ok(None);
    }
    let Some(specimen) = search.specimen(&nodes) else { return Ok(None) };
    let labels = nodes.iter().map(|&step| search.steps.node(step).0).collect();
    let shows = search.oracle.shows(&specimen, finding);
    Ok(shows.then_some(Piece { labels, specimen, finding }))
}

impl PieceSearch<'_, '_, '_> {
    /// The first wrong window around a step, with windows that each double the width. The whole network is not tried.
    fn grow(&mut self, step: usize) -> Option<(Range<usize>, Finding)> {
        let count = self.steps.len();
        let mut width = 1;
        loop {
            let window = step.saturating_sub(width)..(step + width + 1).min(count);
            if window.len() == count {
                return None;
            }
            let finding = self.ask(&window.clone().collect());
            if finding.is_wrong() {
                return Some((window, finding));
            }
            width *= 2;
        }
    }

    /// The same window, with its ends moved in as far as halving allows.
    fn shorten(&mut self, window: Range<usize>, finding: Finding) -> Range<usize> {
        let Range { start, end } = window;
        let (mut agrees, mut fails) = (start, end);
        while fails > agrees + 1 {
            let middle = agrees + (fails - agrees) / 2;
            match self.ask(&(start..middle).collect()) == finding {
                true => fails = middle,
                false => agrees = middle,
            }
        }
        let end = fails;
        let (mut fails, mut agrees) = (start, end);
        while agrees > fails + 1 {
            let middle = fails + (agrees - fails) / 2;
            match self.ask(&(middle..end).collect()) == finding {
                true => fails = middle,
                false => agrees = middle,
            }
        }
        fails..end
    }

    /// The same nodes without the nodes that the finding does not need.
    fn thin(&mut self, mut nodes: BTreeSet<usize>, finding: Finding) -> BTreeSet<usize> {
        if nodes.len() > MOST_NODES {
            return nodes;
        }
        for step in nodes.clone() {
            let fewer: BTreeSet<usize> = nodes.iter().copied().filter(|&n| n != step).collect();
            if !fewer.is_empty() && self.ask(&fewer) == finding {
                nodes = fewer;
            }
        }
        nodes
    }

    fn ask(&mut self, nodes: &BTreeSet<usize>) -> Finding {
        (self.announce)(&format!("{} of {} nodes", nodes.len(), self.steps.len()));
        match self.specimen(nodes) {
            Some(specimen) => self.oracle.ask(&specimen).finding,
            None => Finding::Invalid,
        }
    }

    /// The network of these nodes. `None` if they do not form a network.
    fn specimen(&mut self, nodes: &BTreeSet<usize>) -> Option<Specimen> {
        let mut wanted = self.steps.values_into(nodes);
        wanted.extend(self.steps.values_out_of(nodes));
        if !wanted.iter().all(|name| self.values.contains_key(name)) {
            // Few nodes are asked about in many ways, so all of their values are kept.
            if nodes.len() <= MOST_NODES {
                wanted.extend(nodes.iter().flat_map(|&step| self.steps.writes(step).to_vec()));
            }
            self.values = self.steps.capture(self.feeds, &wanted).ok()?;
        }
        let (model, feeds) = self.steps.piece(nodes, &self.values).ok()?;
        Some(Specimen { model, feeds })
    }
}
