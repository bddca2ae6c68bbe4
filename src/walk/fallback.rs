//! Finds the smallest set of operators that must run elsewhere to make the output right again. Each set is tried in a
//! run of the network.

use super::conduct::Walked;
use super::contract::Announce;
use super::error_summary::{ErrorSummary, error_summary};
use super::measured::MeasuredOp;
use super::overrides::{Compute, Overridable, Overrides, Transfers};
use super::role::{Role, assign_roles};
use super::rounding_floor::{FLOOR_FACTOR, floor};
use super::smallest::{Set, smallest};
use crate::compare::{CompareOptions, Tolerance, compare_with};
use crate::engine::{CPU, Output};
use crate::tensor::{Format, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The unit that is moved: single operators, or all operators of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Single operators.
    Op,
    /// All operators of a type, as a backend declines them.
    Type,
}

/// The condition for an output to be right again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Every element is within this tolerance, or the difference is one rounding to the storage.
    Tolerance(Tolerance),
    /// The relative error is at most 16 times an honest backend's with this storage.
    Floor,
    /// The largest element of each row of the last axis is at the right position.
    Top1,
}

impl Goal {
    /// The goal's name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Goal::Tolerance(_) => "tolerance",
            Goal::Floor => "floor",
            Goal::Top1 => "top1",
        }
    }
}

/// The parameters of the search.
#[derive(Debug, Clone)]
pub struct FallbackPlan {
    /// The unit that is moved.
    pub by: By,
    /// The goal to reach.
    pub goal: Goal,
    /// Whether members are computed in high precision on the same device instead of on the CPU.
    pub raise: bool,
    /// The right outputs.
    pub expected: Vec<Output>,
}

/// One operator, or one type of operator, that must run elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The name of the operator or of the type.
    pub name: String,
    /// The engine's name for the type.
    pub op_type: String,
    /// The type's number in the engine's sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_number: Option<i32>,
    /// The operators that the member contains.
    pub operators: Vec<String>,
    /// The largest relative error that any of them introduces.
    pub introduced: f64,
}

/// The remaining error if the worst members are computed elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TradePoint {
    /// The number of members.
    pub members: usize,
    /// The number of operators.
    pub operators: usize,
    /// Relative L2 error of the outputs; absent if they cannot be compared.
    pub error: Option<f64>,
    /// Whether the goal is reached.
    pub reached: bool,
}

/// Median seconds of whole runs, including writing the inputs and reading the outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FallbackLatency {
    /// The network on its own.
    pub before: f64,
    /// Every operator stepped and none moved, which shows the cost of observation.
    pub stepped: f64,
    /// Every operator stepped, and the members moved.
    #[serde(rename = "healed")]
    pub overridden: f64,
    /// `before + overridden - stepped`: the estimate without observation.
    pub after: f64,
}

/// The result of the search: the smallest set found, or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fallback {
    /// The unit that is moved.
    pub by: By,
    /// The goal to reach.
    pub goal: Goal,
    /// Whether the members are raised to high precision on the device instead of moved to the CPU.
    pub raise: bool,
    /// The members. Empty if the outputs are right without a move, absent if no set helps.
    pub members: Option<Vec<Member>>,
    /// Leaving out any group of up to this many members misses the goal. If the number equals the set's size, no
    /// smaller part of the set is enough.
    pub proven: usize,
    /// Relative L2 error of the outputs with no members moved.
    pub error_before: Option<f64>,
    /// Relative L2 error with the members moved, or with everything moved if no set helps.
    pub error_after: Option<f64>,
    /// The number of movable members, and the number of operators they contain.
    pub choices: (usize, usize),
    /// Operators that cannot be computed elsewhere, and the reason.
    pub fixed: Vec<(String, String)>,
    /// The number of runs.
    pub runs: usize,
    /// The tensors that travel in each run.
    pub transfers: Transfers,
    /// The cost in time.
    pub latency: Option<FallbackLatency>,
    /// Error against the number of members moved, the worst first. Filled if no small set helps.
    pub curve: Vec<TradePoint>,
}

impl Fallback {
    /// The number of moved operators.
    pub fn operators(&self) -> usize {
        self.members.iter().flatten().map(|member| member.operators.len()).sum()
    }

    /// Whether the set is small enough to move: at most a quarter of all operators, or at most `FEW`.
    pub fn is_small(&self) -> bool {
        self.members.is_some() && self.operators() <= FEW.max(self.choices.1 / 4)
    }
}

/// Receives the progress of the search.
pub struct Progress<'p, 'a> {
    /// Receives each operator before it runs.
    pub operator: &'p mut Announce<'a>,
    /// Receives the number of earlier runs before each run.
    pub trial: &'p mut dyn FnMut(usize),
}

/// This many operators are few in any network.
const FEW: usize = 4;
/// The most timed runs of each kind, and the most seconds they may take together.
const TIMED: usize = 5;
const TIMING: f64 = 20.0;

/// Searches for the smallest set on a candidate that was already walked.
///
/// # Errors
/// Returns the reason if the candidate refused to run.
pub fn fallback(
    candidate: &mut dyn Overridable,
    compute: &mut Compute<'_>,
    walked: &Walked,
    plan: &FallbackPlan,
    progress: &mut Progress<'_, '_>,
) -> Result<Fallback, String> {
    let members = members(candidate, walked, plan.by);
    let repeats = if walked.trust.identical { 1 } else { 3 };
    let storage = walked.trace.storage;
    let floor = walked.trace.final_half.map(|half| floor(storage, Some(half)));
    let mut trials = Trials {
        candidate,
        compute,
        plan,
        members: &members,
        storage,
        floor,
        repeats,
        runs: 0,
        known: BTreeMap::new(),
        progress,
    };
    let suspects: Vec<usize> = (0..members.len()).collect();
    let sources = members.iter().filter(|member| member.is_source).count();
    let found = smallest(&suspects, sources, &mut |set| Ok(trials.run(set)?.reached))?;

    let set = found.as_ref().map_or_else(|| suspects.iter().copied().collect(), |f| f.set.clone());
    let before = trials.run(&Set::new())?;
    let after = trials.run(&set)?;
    let mut report = Fallback {
        by: plan.by,
        goal: plan.goal,
        raise: plan.raise,
        members: found.as_ref().map(|f| f.set.iter().map(|&m| members[m].member.clone()).collect()),
        proven: found.as_ref().map_or(0, |found| found.proven),
        error_before: before.error,
        error_after: after.error,
        choices: (members.len(), members.iter().map(|member| member.places.len()).sum()),
        fixed: fixed(walked),
        runs: 0,
        transfers: after.transfers,
        latency: None,
        curve: Vec::new(),
    };
    if report.is_small() && !set.is_empty() {
        report.latency = Some(trials.latency(&set)?);
    } else if !report.is_small() {
        report.curve = trials.curve()?;
    }
    report.runs = trials.runs;
    Ok(report)
}

/// A member, and what the search knows about it.
struct Candidate {
    member: Member,
    /// Positions in the order of execution.
    places: BTreeSet<usize>,
    is_source: bool,
}

/// The movable members, the likeliest first: sources, then by the error they introduce.
fn members(candidate: &dyn Overridable, walked: &Walked, by: By) -> Vec<Candidate> {
    let trace = &walked.trace;
    let roles = assign_roles(&trace.measured, trace.storage);
    let on_device = on_device(&trace.measured);
    let mut members: BTreeMap<&str, Candidate> = BTreeMap::new();
    for (op, role) in trace.measured.iter().zip(roles) {
        let Some(introduced) = op.introduced.filter(|_| op.float && on_device(op)) else {
            continue;
        };
        let name = match by {
            By::Op => &op.name,
            By::Type => &op.op_type,
        };
        let choice = members.entry(name).or_insert_with(|| Candidate {
            member: Member {
                name: name.clone(),
                op_type: op.op_type.clone(),
                type_number: candidate.type_number(&op.op_type),
                operators: Vec::new(),
                introduced: 0.0,
            },
            places: BTreeSet::new(),
            is_source: false,
        });
        choice.member.operators.push(op.name.clone());
        choice.member.introduced = choice.member.introduced.max(size(&introduced));
        choice.places.insert(op.index);
        choice.is_source |= role == Role::Source;
    }
    let mut members: Vec<Candidate> = members.into_values().collect();
    members.sort_by(|a, b| {
        let key = |choice: &Candidate| (choice.is_source, choice.member.introduced);
        let ((a_source, a_error), (b_source, b_error)) = (key(a), key(b));
        b_source.cmp(&a_source).then(b_error.total_cmp(&a_error))
    });
    members
}

/// Elements that are NaN on one side only are worse than any finite error.
fn size(introduced: &ErrorSummary) -> f64 {
    if introduced.disagreeing > 0 { f64::MAX } else { introduced.rel_l2 }
}

/// An operator that already ran on the CPU need not move there, unless all operators ran there.
fn on_device(measured: &[MeasuredOp]) -> impl Fn(&MeasuredOp) -> bool {
    let all_on_cpu = measured.iter().all(|op| op.backend == CPU);
    move |op| all_on_cpu || op.backend != CPU
}

fn fixed(walked: &Walked) -> Vec<(String, String)> {
    let unchecked = walked.trace.measured.iter().filter(|op| op.float);
    unchecked.filter_map(|op| Some((op.name.clone(), op.unchecked.clone()?))).collect()
}

/// Runs with some members moved.
struct Trials<'t, 'a, 'p, 'b> {
    candidate: &'t mut dyn Overridable,
    compute: &'t mut Compute<'a>,
    plan: &'t FallbackPlan,
    members: &'t [Candidate],
    storage: Format,
    floor: Option<f64>,
    /// The number of runs before a set is believed: one, unless the candidate's outputs differ between runs.
    repeats: usize,
    runs: usize,
    /// The sets that were already run.
    known: BTreeMap<Set, Trial>,
    progress: &'t mut Progress<'p, 'b>,
}

/// The result of one set.
#[derive(Clone)]
struct Trial {
    reached: bool,
    error: Option<f64>,
    transfers: Transfers,
    seconds: f64,
}

impl Trials<'_, '_, '_, '_> {
    /// The worst result of `repeats` runs.
    fn run(&mut self, set: &Set) -> Result<Trial, String> {
        if let Some(known) = self.known.get(set) {
            return Ok(known.clone());
        }
        let mut trial = self.once(set)?;
        for _ in 1..self.repeats {
            let again = self.once(set)?;
            trial.reached &= again.reached;
            trial.error = trial.error.zip(again.error).map(|(a, b)| a.max(b));
        }
        self.known.insert(set.clone(), trial.clone());
        Ok(trial)
    }

    fn once(&mut self, set: &Set) -> Result<Trial, String> {
        let chosen: BTreeSet<usize> =
            set.iter().flat_map(|&member| self.members[member].places.iter().copied()).collect();
        (self.progress.trial)(self.runs);
        let mut overrides = Overrides::new(&mut *self.compute, &chosen);
        let started = Instant::now();
        let outputs = self.candidate.run_overridden(self.progress.operator, &mut overrides)?;
        let seconds = started.elapsed().as_secs_f64();
        self.runs += 1;
        let transfers = overrides.finish();
        let pairs = pairs(&self.plan.expected, &outputs);
        // If an operator could not be moved, the set was not tried.
        let reached = transfers.is_ok() && pairs.iter().all(|pair| self.is_right(pair));
        let summaries: Option<Vec<ErrorSummary>> = pairs
            .iter()
            .map(|(expected, found)| error_summary(expected, found.as_ref()?))
            .collect();
        let worst =
            summaries.and_then(|summaries| summaries.into_iter().reduce(ErrorSummary::worse));
        let error = worst.filter(|worst| worst.disagreeing == 0).map(|worst| worst.rel_l2);
        Ok(Trial { reached, error, transfers: transfers.unwrap_or_default(), seconds })
    }

    fn is_right(&self, (expected, found): &LatencyPair<'_>) -> bool {
        let Some(found) = found else { return false };
        match self.plan.goal {
            Goal::Top1 => same_largest(expected, found),
            Goal::Floor => error_summary(expected, found).is_some_and(|error_summary| {
                let honest =
                    self.floor.is_some_and(|floor| error_summary.rel_l2 <= FLOOR_FACTOR * floor);
                error_summary.disagreeing == 0 && honest
            }),
            Goal::Tolerance(_) if !expected.dtype().is_float() => *expected == found,
            Goal::Tolerance(_) if self.is_rounding(expected, found) => true,
            Goal::Tolerance(tolerance) => {
                let options = CompareOptions { worst: 0, extra_rtol: Some(tolerance.rtol) };
                compare_with(expected, found, &options).is_ok_and(|comparison| {
                    comparison.mismatched == 0 || tolerance.is_met_by(&comparison)
                })
            }
        }
    }

    /// Whether the storage's rounding at the end explains every difference.
    fn is_rounding(&self, expected: &Tensor, found: &Tensor) -> bool {
        let explained =
            error_summary(expected, found).and_then(|error_summary| error_summary.explained_by);
        explained.is_some_and(|explained| self.storage.rounds_like(explained.format))
    }

    fn latency(&mut self, set: &Set) -> Result<FallbackLatency, String> {
        let (mut before, mut stepped, mut overridden) = (Vec::new(), Vec::new(), Vec::new());
        // The three kinds alternate, so a temporarily slow machine slows all three.
        let all = Instant::now();
        for round in 0..TIMED {
            let spent = all.elapsed().as_secs_f64();
            // Stops if one more round of average length would exceed the time.
            if round > 0 && spent + spent / round as f64 > TIMING {
                break;
            }
            let started = Instant::now();
            self.candidate.run(self.progress.operator)?;
            before.push(started.elapsed().as_secs_f64());
            stepped.push(self.once(&Set::new())?.seconds);
            overridden.push(self.once(set)?.seconds);
        }
        let [before, stepped, overridden] = [before, stepped, overridden].map(median);
        Ok(FallbackLatency {
            before,
            stepped,
            overridden,
            after: (before + overridden - stepped).max(0.0),
        })
    }

    /// Moves the worst members, twice as many each time.
    fn curve(&mut self) -> Result<Vec<TradePoint>, String> {
        let all = self.members.len();
        let doubling = std::iter::successors(Some(1), |count| Some(count * 2));
        let mut counts: Vec<usize> = vec![0];
        counts.extend(doubling.take_while(|count| *count < all));
        counts.push(all);
        counts.dedup();
        let mut points = Vec::new();
        for members in counts {
            let trial = self.run(&(0..members).collect())?;
            let operators = self.members[..members].iter().map(|choice| choice.places.len()).sum();
            let (error, reached) = (trial.error, trial.reached);
            points.push(TradePoint { members, operators, error, reached });
        }
        Ok(points)
    }
}

/// An expected output, and the output found, if any.
type LatencyPair<'a> = (&'a Tensor, Option<Tensor>);

fn pairs<'a>(expected: &'a [Output], outputs: &[Output]) -> Vec<LatencyPair<'a>> {
    let found = |name| outputs.iter().find(|output| output.name == name);
    expected
        .iter()
        .map(|output| {
            (&output.tensor, found(output.name.clone()).map(|found| found.tensor.clone()))
        })
        .collect()
}

/// Whether the largest element of every row of the last axis is at the same position.
fn same_largest(expected: &Tensor, found: &Tensor) -> bool {
    let (Tensor::F32(expected), Tensor::F32(found)) = (expected, found) else { return false };
    let row = expected.shape().last().copied().unwrap_or(1);
    let largest = |row: &[f32]| {
        let order = |a: &(usize, &f32), b: &(usize, &f32)| a.1.total_cmp(b.1);
        row.iter().enumerate().filter(|(_, value)| !value.is_nan()).max_by(order).map(|(at, _)| at)
    };
    match (expected.as_slice(), found.as_slice()) {
        (Some(a), Some(b)) if a.len() == b.len() && row > 0 => {
            a.chunks(row).zip(b.chunks(row)).all(|(a, b)| largest(a) == largest(b))
        }
        _ => false,
    }
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or_default()
}
