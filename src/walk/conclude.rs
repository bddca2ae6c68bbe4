//! Turns a trace into the walk's report.

use super::error_summary::ErrorSummary;
use super::mapping::map_to_nodes;
use super::measured::{MeasuredOp, WeightCost};
use super::role::{Role, assign_roles};
use super::rounding_floor::{floor, operator_floor};
use super::strategy::Strategy;
use super::trace::{ChangedFeed, OpReport, Trace, Trust, UncheckedOp, WalkReport, WeightReport};
use crate::tensor::Format;
use std::collections::BTreeMap;

/// The most profiles that a report keeps.
const MOST_PROFILES: usize = 16;

/// Draws the conclusions of a strategy's trace. `values` maps each ONNX value and node to the node's name.
pub fn conclude(
    strategy: Strategy,
    trace: &Trace,
    trust: &Trust,
    values: &BTreeMap<String, String>,
) -> WalkReport {
    let measured = &trace.measured;
    let names: Vec<String> = measured.iter().map(|op| op.name.clone()).collect();
    let (nodes, mapped_share) = map_to_nodes(&names, values);
    let roles = assign_roles(measured, trace.storage);
    let mut ops: Vec<OpReport> = measured
        .iter()
        .zip(roles.iter().zip(nodes))
        .map(|(op, (role, node))| report(op, *role, node, trace.storage))
        .collect();
    let is_drawn = |op: &&mut OpReport| op.error_profile.is_some();
    ops.iter_mut().filter(is_drawn).skip(MOST_PROFILES).for_each(|op| op.error_profile = None);
    // The parts of an output are shown in the map of its profile.
    let is_not_drawn = |op: &&mut OpReport| op.error_profile.is_none();
    let excesses = ops.iter_mut().filter(is_not_drawn).filter_map(|op| op.excess.as_mut());
    excesses.for_each(|excess| excess.parts.clear());
    let floats = measured.iter().filter(|op| op.float).count();
    let compared_floats = measured.iter().filter(|op| op.float && op.introduced.is_some()).count();
    WalkReport {
        strategy,
        candidate_runs: trust.candidate_runs,
        ops_total: measured.len(),
        ops_compared: measured.iter().filter(|op| op.introduced.is_some()).count(),
        misshapen: Vec::new(),
        channels_last: Vec::new(),
        sampled: None,
        splits_fusions: false,
        searched_because: None,
        ops_unchecked: measured.iter().filter_map(unchecked).collect(),
        float_share: if floats == 0 { 1.0 } else { compared_floats as f64 / floats as f64 },
        mapped_share,
        disturbed_by_taps: trust.disturbed_by_taps,
        storage: trace.storage,
        final_floor: trace.final_half.map(|half| floor(trace.storage, Some(half))),
        ops_beside_tract: measured.iter().filter(|op| op.conversion.is_some()).count(),
        first_converted: measured
            .iter()
            .find(|op| op.conversion.is_some_and(|error_summary| !error_summary.within_f32))
            .map(|op| op.name.clone()),
        first_divergent: measured
            .iter()
            .find(|op| diverges(op, trace.storage))
            .map(|op| op.name.clone()),
        first_nonfinite: measured.iter().find_map(|op| op.nonfinite.clone()),
        untimely: None,
        sources: sources(&ops),
        ops,
        trust: trust.clone(),
        probes: Vec::new(),
        bodies: BTreeMap::new(),
        confirmation: None,
        changed_feed: changed_feed(measured, trace.storage),
        interrupted: false,
    }
}

/// Up to this relative L2 error a stored feed is taken for a rounded one: ten times the rounding of bf16.
const STORED: f64 = 0.04;

/// Finds error that an operator inherits although every earlier operator is exact: the candidate stored a changed feed.
fn changed_feed(measured: &[MeasuredOp], storage: Format) -> Option<ChangedFeed> {
    let has = |error_summary: Option<ErrorSummary>| {
        error_summary.is_some_and(|error_summary| error_summary.mismatched > 0)
    };
    let first = measured.iter().find(|op| has(op.inherited) || has(op.cumulative))?;
    let inherited = first.inherited.filter(|error_summary| error_summary.mismatched > 0)?;
    let is_rounded = inherited.explained_by.is_some_and(|found| storage.rounds_like(found.format));
    let unexplained = !is_rounded && inherited.rel_l2 > STORED;
    Some(ChangedFeed { operator: first.name.clone(), error: inherited.rel_l2, unexplained })
}

fn weights(cost: WeightCost) -> WeightReport {
    let error = |error_summary: Option<ErrorSummary>| {
        error_summary.map(|error_summary| error_summary.rel_l2)
    };
    WeightReport {
        introduced: error(cost.introduced),
        cumulative: error(cost.cumulative),
        together: error(cost.together),
    }
}

fn sources(ops: &[OpReport]) -> Vec<String> {
    ops.iter().filter(|op| op.role == Role::Source).map(|op| op.name.clone()).collect()
}

fn report(op: &MeasuredOp, role: Role, onnx_node: Option<String>, storage: Format) -> OpReport {
    let floor = operator_floor(storage, op.exactness, op.half);
    let introduced = op.introduced.map(|error_summary| error_summary.rel_l2);
    let integers = op.introduced.filter(|error| !op.float && error.mismatched > 0);
    OpReport {
        index: op.index,
        name: op.name.clone(),
        op_type: op.op_type.clone(),
        backend: op.backend.clone(),
        piece: Vec::new(),
        reads: op.reads.clone(),
        decided_by: Vec::new(),
        onnx_node,
        exported: None,
        cumulative: op.cumulative.map(|error_summary| error_summary.rel_l2),
        disagreeing: op.cumulative.map_or(0, |error_summary| error_summary.disagreeing),
        inherited: op.inherited.map(|error_summary| error_summary.rel_l2),
        conversion: op.conversion.map(|error_summary| error_summary.rel_l2),
        weights: op.weights.map(weights),
        introduced,
        introduced_disagreeing: op.introduced.map_or(0, |error_summary| error_summary.disagreeing),
        excess: op.excess.clone(),
        kernel: op.kernel.map(|kernel| kernel.error_summary.rel_l2),
        witness: op.witness.map(|error_summary| error_summary.rel_l2),
        by_witness: op.by_witness,
        floor,
        ratio: introduced.map(|introduced| introduced / floor),
        role,
        nonfinite: op.nonfinite.clone(),
        lost: op.lost,
        born: op.born.clone(),
        zero_signs: op.zero_signs,
        handover: op.handover.clone(),
        divided_by: None,
        wrong_integers: integers.map_or(0, |error_summary| error_summary.mismatched),
        integers_apart: integers.map(|error_summary| error_summary.max_abs),
        blind: op.blind,
        explained_by: op.introduced.and_then(|error_summary| error_summary.explained_by),
        absmax: op.absmax,
        headroom_used: op.absmax / storage.max(),
        diagnosis: op.patterns.clone(),
        error_profile: op.error_profile.clone().filter(|_| role == Role::Source),
    }
}

fn unchecked(op: &MeasuredOp) -> Option<UncheckedOp> {
    let reason = op.unchecked.clone()?;
    Some(UncheckedOp { name: op.name.clone(), op_type: op.op_type.clone(), reason })
}

fn diverges(op: &MeasuredOp, storage: Format) -> bool {
    op.cumulative.is_some_and(|error_summary| !error_summary.is_within(storage))
}
