//! Does a specimen still show the finding? One run on the target against the reference.

use super::Specimen;
use crate::compare::{CompareOptions, Comparison, compare_with};
use crate::engine::{Execution, Outcome, Output, Request, Session};
use crate::inputs::Feed;
use crate::walk::{NodeReference, Reference as _, Storage, gauge, is_honest, round_to_f16};
use std::time::Duration;

/// What is the matter with a specimen on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Nothing.
    Agrees,
    /// It differs by exactly the rounding of a format.
    Explained,
    /// It computes something else.
    Divergent,
    /// It gives NaN or infinities where the reference has numbers.
    Nonfinite,
    /// It came to no end.
    Ended(Outcome),
    /// The reference does not take it: it is no network.
    Invalid,
}

/// What one run showed.
#[derive(Debug)]
pub struct Seen {
    /// What is the matter.
    pub finding: Finding,
    /// The worst output: the reference's and the target's.
    pub worst: Option<(Output, Output)>,
    /// How it ended, where it came to no end.
    pub reason: Option<String>,
}

impl Seen {
    const INVALID: Seen = Seen { finding: Finding::Invalid, worst: None, reason: None };
}

/// Asks the target and the reference.
pub struct Oracle<'a> {
    /// The target.
    pub session: Box<dyn Session + 'a>,
    /// The format the target may store.
    pub storage: Storage,
    /// The longest one run may take.
    pub deadline: Duration,
    /// Runs of the target so far.
    pub runs: usize,
}

impl Oracle<'_> {
    /// Whether the specimen shows this very finding, twice.
    pub fn shows(&mut self, specimen: &Specimen, finding: Finding) -> bool {
        self.ask(specimen).finding == finding && self.ask(specimen).finding == finding
    }

    /// Whether the reference takes the specimen for a network.
    pub fn takes(&self, specimen: &Specimen) -> bool {
        reference(specimen).is_ok()
    }

    /// What the target makes of a specimen.
    pub fn ask(&mut self, specimen: &Specimen) -> Seen {
        let Ok((exact, honest)) = reference(specimen) else { return Seen::INVALID };
        self.runs += 1;
        let execution = self.session.execute(&Request {
            model: &specimen.model,
            feeds: &specimen.feeds,
            repeats: 1,
            deadline: self.deadline,
        });
        self.compare_all(&exact, &honest, execution)
    }

    /// What an execution of the specimen shows.
    pub fn judge(&self, specimen: &Specimen, execution: Execution) -> Seen {
        match reference(specimen) {
            Ok((exact, honest)) => self.compare_all(&exact, &honest, execution),
            Err(_) => Seen::INVALID,
        }
    }

    fn compare_all(&self, exact: &[Output], honest: &[Output], execution: Execution) -> Seen {
        if execution.outcome != Outcome::Completed {
            let finding = Finding::Ended(execution.outcome);
            return Seen { finding, worst: None, reason: execution.reason };
        }
        let mut seen = Seen { finding: Finding::Agrees, worst: None, reason: None };
        for expected in exact {
            let same = |outputs: &[Output]| -> Option<Output> {
                outputs.iter().find(|output| output.name == expected.name).cloned()
            };
            let Some(found) = same(&execution.outputs) else { continue };
            let floor = same(honest).and_then(|honest| gauge(&expected.tensor, &honest.tensor));
            let finding = self.compare(expected, &found, floor);
            if severity(finding) > severity(seen.finding) || seen.worst.is_none() {
                seen.finding = finding;
                seen.worst = Some((expected.clone(), found));
            }
        }
        seen
    }

    fn compare(
        &self,
        expected: &Output,
        found: &Output,
        honest: Option<crate::walk::Gauge>,
    ) -> Finding {
        let options = CompareOptions { worst: 0, extra_rtol: None };
        let comparison = compare_with(&expected.tensor, &found.tensor, &options);
        let measured = gauge(&expected.tensor, &found.tensor);
        let (Ok(comparison), Some(measured)) = (comparison, measured) else {
            return Finding::Divergent;
        };
        if measured.disagreeing > 0 {
            Finding::Nonfinite
        } else if is_explained(&comparison) && self.storage != Storage::F32 {
            Finding::Explained
        } else if is_honest(&measured, honest, self.storage) {
            Finding::Agrees
        } else {
            Finding::Divergent
        }
    }
}

fn is_explained(comparison: &Comparison) -> bool {
    comparison.mismatched > 0
        && comparison.explained_by.is_some_and(|explanation| explanation.share == 1.0)
}

fn severity(finding: Finding) -> u8 {
    match finding {
        Finding::Agrees | Finding::Invalid => 0,
        Finding::Explained => 1,
        Finding::Divergent => 2,
        Finding::Nonfinite => 3,
        Finding::Ended(_) => 4,
    }
}

/// The reference's outputs, exact and as an honest 16-bit backend would have them.
fn reference(specimen: &Specimen) -> Result<(Vec<Output>, Vec<Output>), String> {
    let mut exact = NodeReference::new(&specimen.model, &specimen.feeds)?;
    let outputs = exact.complete()?;
    if outputs.iter().any(|output| output.tensor.is_empty()) {
        return Err("an output has no elements".into());
    }
    let rounded: Vec<Feed> = specimen
        .feeds
        .iter()
        .map(|feed| Feed { tensor: round_to_f16(&feed.tensor), ..feed.clone() })
        .collect();
    let honest = NodeReference::new(&specimen.model, &rounded)?.half_outputs()?;
    Ok((outputs, honest))
}
