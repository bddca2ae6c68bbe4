//! What the scripts of the page know of each walk: the report's fields that they show, with as many digits as they show.

use super::element::{PartElement, part_elements};
use super::network::{Unfolded, unfolded_of};
use crate::compare::{ErrorProfile, Explanation, Pattern};
use crate::graph::Exported;
use crate::report::document::Report;
use crate::walk::{Lost, NonfiniteFinding, OpReport, Role, UncheckedOp, WalkReport};
use serde::{Serialize, Serializer};

/// The data for the scripts.
#[derive(Serialize)]
pub(super) struct PageData<'r> {
    walks: Vec<Walk<'r>>,
    /// Each walk's operators as rows.
    drawings: Vec<Option<Unfolded>>,
}

#[derive(Serialize)]
struct Walk<'r> {
    storage: &'static str,
    ops_total: usize,
    ops_unchecked: &'r [UncheckedOp],
    ops: Vec<Op<'r>>,
}

#[derive(Serialize)]
struct Op<'r> {
    index: usize,
    name: &'r str,
    op_type: &'r str,
    backend: &'r str,
    role: Role,
    floor: Short,
    absmax: Short,
    headroom_used: Short,
    #[serde(skip_serializing_if = "Option::is_none")]
    onnx_node: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exported: Option<&'r Exported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    introduced: Option<Short>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<Short>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cumulative: Option<Short>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversion: Option<Short>,
    #[serde(skip_serializing_if = "is_zero")]
    introduced_disagreeing: u64,
    #[serde(skip_serializing_if = "is_zero")]
    disagreeing: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    excess: Option<Elements>,
    #[serde(skip_serializing_if = "<[usize]>::is_empty")]
    reads: &'r [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    nonfinite: Option<&'r NonfiniteFinding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<&'r Lost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    born: Option<&'r NonfiniteFinding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explained_by: Option<&'r Explanation>,
    #[serde(skip_serializing_if = "<[Pattern]>::is_empty")]
    diagnosis: &'r [Pattern],
    #[serde(skip_serializing_if = "Option::is_none")]
    portrait: Option<&'r ErrorProfile>,
    /// The worst element of each part of the portrait's map.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartElement>,
}

/// The elements compared with their bounds.
#[derive(Serialize)]
struct Elements {
    excess: Short,
    beyond: u64,
    weighed: u64,
}

/// A number of four digits.
struct Short(f64);

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let short = format!("{:.3e}", self.0).parse().unwrap_or(self.0);
        serializer.serialize_f64(short)
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl<'r> PageData<'r> {
    pub(super) fn of(report: &'r Report) -> Self {
        let walks = || report.targets.iter().filter_map(|target| target.walk.as_ref());
        PageData {
            walks: walks().map(walk).collect(),
            drawings: walks().map(unfolded_of).collect(),
        }
    }
}

fn walk(walk: &WalkReport) -> Walk<'_> {
    Walk {
        storage: walk.storage.name(),
        ops_total: walk.ops_total,
        ops_unchecked: &walk.ops_unchecked,
        ops: walk.ops.iter().map(op).collect(),
    }
}

fn op(op: &OpReport) -> Op<'_> {
    let elements = op.excess.as_ref().map(|excess| Elements {
        excess: Short(excess.excess),
        beyond: excess.beyond,
        weighed: excess.weighed,
    });
    Op {
        index: op.index,
        name: &op.name,
        op_type: &op.op_type,
        backend: &op.backend,
        role: op.role,
        floor: Short(op.floor),
        absmax: Short(op.absmax),
        headroom_used: Short(op.headroom_used),
        onnx_node: op.onnx_node.as_deref(),
        exported: op.exported.as_ref(),
        introduced: op.introduced.map(Short),
        ratio: op.ratio.map(Short),
        cumulative: op.cumulative.map(Short),
        conversion: op.conversion.map(Short),
        introduced_disagreeing: op.introduced_disagreeing,
        disagreeing: op.disagreeing,
        excess: elements,
        reads: &op.reads,
        nonfinite: op.nonfinite.as_ref(),
        lost: op.lost.as_ref(),
        born: op.born.as_ref(),
        explained_by: op.explained_by.as_ref(),
        diagnosis: &op.diagnosis,
        portrait: op.error_profile.as_deref(),
        parts: op
            .error_profile
            .as_deref()
            .map(|portrait| part_elements(op, portrait))
            .unwrap_or_default(),
    }
}
