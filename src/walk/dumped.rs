//! Walking without an engine: a device's own tensors, and the reference's computation between them.
//!
//! The stream of values follows the device: each value that was dumped replaces the reference's. So the nodes between
//! two dumped values are one piece, which is computed on the device's own inputs. The difference at the end of a piece
//! was introduced inside it. A dump of every value makes each piece one node.

use super::conclude::conclude;
use super::contract::{Anatomy, Clean, Executed, Operand, Operator, OperatorReference, Unchecked};
use super::error_summary::error_summary;
use super::exactness::Exactness;
use super::fitting::{Fitted, Order, fitted, fitted_last};
use super::follow::Follow;
use super::misread::{withdraw_misread, withdraw_recomputed};
use super::node_reference::{NodeReference, operators};
use super::role::Role;
use super::rounding_floor::{StorageCensus, round_to_f16};
use super::strategy::Strategy;
use super::trace::{Misshapen, Trace, Trust, WalkReport};
use super::training::{TRAINED, training_mode};
use crate::bounds::{Arithmetic, Excess};
use crate::compare::Pattern;
use crate::engine::{DUMP, NodeSteps, Output, Second};
use crate::graph::Model;
use crate::inputs::{Dump, Feed, InputError};
use crate::tensor::{ShapeText, Tensor};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A dumped constant replaces the reference's up to this relative L2 distance: an engine that folds a sine or a root
/// rounds it differently, by some 3e-8 each.
const FOLDED: f64 = 1e-6;

/// The network of a dump, and the dump.
pub struct DumpedNetwork<'a> {
    /// The network, its input shapes resolved.
    pub model: &'a Model,
    /// The device's feeds.
    pub feeds: &'a [Feed],
    /// The device's values by their ONNX names.
    pub values: &'a Dump,
    /// How the device computes and stores, as far as that is known.
    pub arithmetic: Arithmetic,
    /// Computes the nodes that tract refuses.
    pub second: Option<Second>,
}

/// Why a walk of a dump ended early.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// A tensor of the dump cannot be read.
    #[error(transparent)]
    Dump(#[from] InputError),
    /// The reference refuses a node.
    #[error("{0}")]
    Reference(String),
}

impl From<String> for Stopped {
    fn from(reason: String) -> Self {
        Stopped::Reference(reason)
    }
}

/// Measures every piece of a dump.
///
/// # Errors
/// If a tensor of the dump cannot be read, or the reference refuses a node.
pub fn walk_dumped(
    dumped: &DumpedNetwork<'_>,
    names: &BTreeMap<String, String>,
) -> Result<WalkReport, Stopped> {
    let (report, layout) = walk_in(dumped, names, false)?;
    match layout.is_last_where_open() {
        true => Ok(walk_in(dumped, names, true)?.0),
        false => Ok(report),
    }
}

/// The same, and which layout the values show. `open_are_last` is whether values of equal extents may have their
/// channels last.
fn walk_in(
    dumped: &DumpedNetwork<'_>,
    names: &BTreeMap<String, String>,
    open_are_last: bool,
) -> Result<(WalkReport, Layout), Stopped> {
    let stream = |change| Stream::new(dumped, change, open_are_last);
    let (mut exact, mut half) = (stream(Tensor::clone)?, stream(round_to_f16)?);
    let current = Rc::new(RefCell::new(Current::default()));
    let mut reference = PieceReference {
        clean: NodeReference::of(dumped.steps()?, dumped.feeds, dumped.arithmetic)?,
        current: current.clone(),
    };
    let format = dumped.arithmetic.format;
    let mut follow = Follow::new(&mut reference, StorageCensus::new(format));
    let (mut pieces, mut modes) = (Vec::new(), Vec::new());
    for (step, operator) in operators(&exact.steps).into_iter().enumerate() {
        let (found, rounded) = (exact.advance(step)?, half.advance(step)?);
        let Some(found) = found else { continue };
        let output = found.dumped.first().filter(|_| found.piece.len() == 1);
        modes.push(output.and_then(|out| training_of(&exact.steps, step, &found.inputs, out)));
        let operand =
            |input: &Option<Tensor>| input.clone().map_or(Operand::Constant, Operand::Value);
        let executed = Executed {
            index: step,
            operator,
            backend: DUMP.into(),
            inputs: found.inputs.iter().map(operand).collect(),
            outputs: found.dumped.into_iter().map(Ok).collect(),
            moves: None,
        };
        *current.borrow_mut() = Current {
            alone: found.piece.len() == 1,
            places: found.places,
            outputs: found.computed,
            half: rounded.map(|rounded| rounded.computed).unwrap_or_default(),
        };
        follow.observe(&executed);
        pieces.push(found.piece);
    }
    let (mut measured, _) = follow.finish();
    for (measured, piece) in measured.iter_mut().zip(&pieces).filter(|(_, piece)| piece.len() > 1) {
        measured.exactness = exactness(&exact.steps, piece);
    }
    for (measured, mode) in measured.iter_mut().zip(modes) {
        // It names the cause, so it comes before what the numbers look like.
        measured.patterns.splice(0..0, mode);
    }
    for (measured, reads) in measured.iter_mut().zip(reads(&exact.steps, &pieces)) {
        measured.reads = reads;
    }
    withdraw_misread(&mut measured, format);
    withdraw_recomputed(&mut measured, format);
    let trace = Trace { measured, storage: format, final_half: None };
    let mut report = conclude(Strategy::Dump, &trace, &Trust::of_one_run(), names);
    report.misshapen = exact.misshapen;
    report.channels_last = exact.channels_last;
    describe(&mut report, &exact.steps, &pieces);
    Ok((report, exact.layout))
}

/// How many dumped values show which order of axes.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    first: usize,
    last: usize,
    either: usize,
}

impl Layout {
    fn count(&mut self, order: Order) {
        match order {
            Order::First => self.first += 1,
            Order::Last => self.last += 1,
            Order::Either => self.either += 1,
            Order::None => {}
        }
    }

    /// Whether all values that show an order have their channels last, and some show none.
    fn is_last_where_open(self) -> bool {
        self.last > 0 && self.first == 0 && self.either > 0
    }
}

/// The training mode of a step, if its dumped output shows it.
fn training_of(
    steps: &NodeSteps,
    step: usize,
    inputs: &[Option<Tensor>],
    output: &Tensor,
) -> Option<Pattern> {
    let inputs = steps.reads(step).iter().zip(inputs);
    let whole = |(name, input): (&String, &Option<Tensor>)| {
        input.clone().or_else(|| Some(steps.constant(name)?.into_owned()))
    };
    let op_type = steps.node(step).1;
    // Only these types read their constants, which may be large.
    TRAINED.contains(&op_type.as_str()).then(|| {
        let inputs: Vec<Option<Tensor>> = inputs.map(whole).collect();
        training_mode(&op_type, &steps.attributes(step).0, &inputs, output)
    })?
}

/// For each piece, the pieces whose values it reads.
fn reads(steps: &NodeSteps, pieces: &[BTreeSet<usize>]) -> Vec<Vec<usize>> {
    let ends: BTreeMap<usize, usize> =
        pieces.iter().enumerate().filter_map(|(at, piece)| Some((*piece.last()?, at))).collect();
    let of_piece = |piece: &BTreeSet<usize>| {
        let read = piece.iter().flat_map(|step| steps.reads(*step));
        let written = read.filter_map(|name| steps.step_of(name));
        let outside = written.filter(|step| !piece.contains(step));
        let reads: BTreeSet<usize> = outside.filter_map(|step| ends.get(&step).copied()).collect();
        reads.into_iter().collect()
    };
    pieces.iter().map(of_piece).collect()
}

/// The exactness of several nodes together: values that are only moved stay exact, and all else rounds more than once.
fn exactness(steps: &NodeSteps, piece: &BTreeSet<usize>) -> Exactness {
    let moves = |step: &usize| Exactness::of(&steps.node(*step).1) == Exactness::Exact;
    if piece.iter().all(moves) { Exactness::Exact } else { Exactness::Approximate }
}

/// Adds the nodes of each piece, and which values decide between the nodes of a piece with a source.
fn describe(report: &mut WalkReport, steps: &NodeSteps, pieces: &[BTreeSet<usize>]) {
    let label = |step: &usize| steps.node(*step).0;
    let sources: Vec<&BTreeSet<usize>> = report
        .ops
        .iter()
        .zip(pieces)
        .filter(|(op, _)| op.role == Role::Source)
        .map(|(_, piece)| piece)
        .collect();
    for (op, piece) in report.ops.iter_mut().zip(pieces).filter(|(_, piece)| piece.len() > 1) {
        op.piece = piece.iter().map(label).collect();
        if op.role == Role::Source {
            let suspects = Some(shared(piece, &sources)).filter(|suspects| suspects.len() > 1);
            op.decided_by = deciding(steps, piece, suspects.as_ref().unwrap_or(piece));
        }
    }
}

/// The nodes of a piece that are in all other pieces which have a node in common with it: one wrong node shows in
/// every piece that computes it. With several wrong nodes there may be another in each piece, so these nodes only decide
/// which values to dump next.
fn shared(piece: &BTreeSet<usize>, sources: &[&BTreeSet<usize>]) -> BTreeSet<usize> {
    let mut shared = piece.clone();
    for other in sources {
        let common: BTreeSet<usize> = shared.intersection(other).copied().collect();
        if !common.is_empty() {
            shared = common;
        }
    }
    shared
}

/// The most nodes whose values are asked for at once.
const MOST_NODES: usize = 3;

/// A few values that leave at most half of the suspects, if so few can. Each round then halves them.
fn deciding(steps: &NodeSteps, piece: &BTreeSet<usize>, suspects: &BTreeSet<usize>) -> Vec<String> {
    let half = suspects.len().div_ceil(2);
    let mut ends: BTreeSet<usize> = piece.last().copied().into_iter().collect();
    let mut chosen = Vec::new();
    for _ in 0..MOST_NODES {
        let left = |ends: &BTreeSet<usize>| most_left(steps, piece, ends, suspects);
        let with = |step: &usize| left(&ends.iter().copied().chain([*step]).collect());
        let open = piece.difference(&ends).copied();
        let Some(best) = open.min_by_key(with) else { break };
        ends.insert(best);
        chosen.extend(steps.writes(best).iter().filter(|value| !value.is_empty()).cloned());
        if left(&ends) <= half {
            break;
        }
    }
    chosen
}

/// The most suspects that are left in one part of a piece, if the values at these ends are known.
fn most_left(
    steps: &NodeSteps,
    piece: &BTreeSet<usize>,
    ends: &BTreeSet<usize>,
    suspects: &BTreeSet<usize>,
) -> usize {
    let left = |end: &usize| behind(steps, piece, *end, ends).intersection(suspects).count();
    ends.iter().map(left).max().unwrap_or(0)
}

/// The steps of a piece from which data flows to a step, the step included, except through known values.
fn behind(
    steps: &NodeSteps,
    piece: &BTreeSet<usize>,
    from: usize,
    known: &BTreeSet<usize>,
) -> BTreeSet<usize> {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(step) = open.pop() {
        let writers = steps.reads(step).iter().filter_map(|name| steps.step_of(name));
        for writer in writers.filter(|writer| piece.contains(writer) && !known.contains(writer)) {
            if seen.insert(writer) {
                open.push(writer);
            }
        }
    }
    seen
}

impl DumpedNetwork<'_> {
    fn steps(&self) -> Result<NodeSteps, Stopped> {
        let mut steps = NodeSteps::with_second(self.model, self.second.clone())?;
        // Not the initializers: one that differs is a changed network.
        for name in steps.folded() {
            let dumped = self.values.read(&name)?;
            let (Some(dumped), Some(ours)) = (dumped, steps.constant(&name)) else { continue };
            let Some(dumped) =
                fitted(&dumped, self.values.is_flat(&name), &ours).map(|fitted| fitted.tensor)
            else {
                continue;
            };
            if error_summary(&ours, &dumped).is_some_and(|error| error.rel_l2 <= FOLDED) {
                steps.replace_constant(&name, dumped);
            }
        }
        Ok(steps)
    }
}

/// The values of a run in which dumped values replace computed ones.
struct Stream<'d> {
    steps: NodeSteps,
    values: &'d Dump,
    /// Applied to constants, and to each value when it is computed or replaced.
    change: fn(&Tensor) -> Tensor,
    /// The nodes behind each value that was not dumped, back to dumped values.
    behind: BTreeMap<String, BTreeSet<usize>>,
    /// Dumped values that cannot be the reference's values.
    misshapen: Vec<Misshapen>,
    /// Dumped values that have their channels last.
    channels_last: Vec<String>,
    /// Which order of axes the dumped values show.
    layout: Layout,
    /// Whether values of equal extents may have their channels last.
    open_are_last: bool,
}

/// A step with dumped outputs.
struct Found {
    /// The step, and those before it whose values were not dumped.
    piece: BTreeSet<usize>,
    inputs: Vec<Option<Tensor>>,
    /// The places of the dumped values among the step's outputs.
    places: Vec<usize>,
    computed: Vec<Tensor>,
    dumped: Vec<Tensor>,
}

impl<'d> Stream<'d> {
    fn new(
        dumped: &DumpedNetwork<'d>,
        change: fn(&Tensor) -> Tensor,
        open_are_last: bool,
    ) -> Result<Self, Stopped> {
        let mut steps = dumped.steps()?;
        let fed = |feed: &Feed| Feed { tensor: change(&feed.tensor), ..feed.clone() };
        steps.start(&dumped.feeds.iter().map(fed).collect::<Vec<_>>())?;
        Ok(Stream {
            steps,
            values: dumped.values,
            change,
            behind: BTreeMap::new(),
            misshapen: Vec::new(),
            channels_last: Vec::new(),
            layout: Layout::default(),
            open_are_last,
        })
    }

    /// A dumped value in the form of the reference's.
    fn fitted(&mut self, name: &str, value: &Tensor, output: &Tensor) -> Option<Fitted> {
        let is_flat = self.values.is_flat(name);
        if !is_flat {
            self.layout.count(Order::of(value, output));
        }
        let last = (self.open_are_last && !is_flat).then(|| fitted_last(value, output)).flatten();
        last.or_else(|| fitted(value, is_flat, output))
    }

    /// Computes a step; `None` if no value of the step was dumped.
    fn advance(&mut self, step: usize) -> Result<Option<Found>, Stopped> {
        let change = self.change;
        let inputs = self.steps.inputs(step)?;
        let computed = self.steps.compute(step, &inputs, &|tensor| change(tensor))?;
        let mut outputs: Vec<Tensor> = computed.iter().map(change).collect();
        let mut piece = BTreeSet::from([step]);
        let behind = self.steps.reads(step).iter().filter_map(|name| self.behind.get(name));
        behind.for_each(|behind| piece.extend(behind));
        let mut found =
            Found { piece, inputs, places: Vec::new(), computed: Vec::new(), dumped: Vec::new() };
        let names = self.steps.writes(step).to_vec();
        for (place, name) in names.iter().enumerate() {
            let Some(output) = outputs.get_mut(place) else { continue };
            let value = self.values.read(name)?;
            let fitted = value.as_ref().and_then(|value| self.fitted(name, value, output));
            if let (Some(value), None) = (&value, &fitted) {
                self.values.must_have_form(name, output)?;
                let (node, op_type) = self.steps.node(step);
                let form =
                    |tensor: &Tensor| format!("{} {}", tensor.dtype(), ShapeText(tensor.shape()));
                let (found, right) = (form(value), form(output));
                self.misshapen.push(Misshapen { node, op_type, found, right });
            }
            match fitted {
                Some(Fitted { tensor, channels_last }) => {
                    found.places.push(place);
                    found.computed.push(std::mem::replace(output, change(&tensor)));
                    found.dumped.push(tensor);
                    self.channels_last.extend(channels_last.then(|| name.clone()));
                }
                None => {
                    self.behind.insert(name.clone(), found.piece.clone());
                }
            }
        }
        self.steps.store(step, &outputs);
        self.steps.forget(step);
        Ok((!found.places.is_empty()).then_some(found))
    }
}

/// The piece that is measured at the moment.
#[derive(Default)]
struct Current {
    /// Whether it is one node.
    alone: bool,
    /// The places of the dumped values among the outputs of its last node.
    places: Vec<usize>,
    /// The exact outputs on the device's inputs.
    outputs: Vec<Tensor>,
    /// The outputs of an honest 16-bit device.
    half: Vec<Tensor>,
}

/// Answers for pieces; their results were computed before.
struct PieceReference<'f> {
    clean: NodeReference<'f>,
    current: Rc<RefCell<Current>>,
}

impl OperatorReference for PieceReference<'_> {
    fn restart(&mut self) -> Result<(), String> {
        self.clean.restart()
    }

    fn complete(&mut self) -> Result<Vec<Output>, String> {
        self.clean.complete()
    }

    fn half_outputs(&mut self) -> Result<Vec<Output>, String> {
        self.clean.half_outputs()
    }

    fn recompute(&mut self, _: &Operator, _: &[Operand]) -> Result<Vec<Tensor>, Unchecked> {
        Ok(self.current.borrow().outputs.clone())
    }

    fn recompute_half(&mut self, _: &Operator, _: &[Operand]) -> Result<Vec<Tensor>, Unchecked> {
        Ok(self.current.borrow().half.clone())
    }

    fn weigh(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
        clean: Option<&Clean>,
        near: &[Tensor],
        outputs: &[&Tensor],
    ) -> Option<Excess> {
        let Current { alone, places, .. } = &*self.current.borrow();
        let is_whole = places.iter().copied().eq(0..places.len());
        (*alone && is_whole).then(|| self.clean.weigh(operator, inputs, clean, near, outputs))?
    }

    fn anatomy(&mut self, operator: &Operator, inputs: &[Operand]) -> Anatomy {
        self.clean.anatomy(operator, inputs)
    }

    fn advance(&mut self, operator: &Operator) -> Result<Clean, Unchecked> {
        let clean = self.clean.advance(operator)?;
        let places = &self.current.borrow().places;
        let outputs =
            places.iter().filter_map(|place| clean.outputs.get(*place).cloned()).collect();
        Ok(Clean { outputs, ..clean })
    }
}
