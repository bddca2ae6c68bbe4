//! The verdict on NaN and infinities that an operator correctly computes from wrong inputs.

use super::kind::{Confidence, Kind, Verdict};
use crate::walk::{OpReport, Untimely, WalkReport};

/// Names the operator that creates them, and the operator at which its input lost its value.
pub(super) fn decide(whole: Verdict, walk: &WalkReport, untimely: &Untimely) -> Verdict {
    let find = |name: &str| walk.ops.iter().find(|op| op.name == name);
    let Some((op, born)) = find(&untimely.op).and_then(|op| Some((op, op.born.as_ref()?))) else {
        return whole;
    };
    let from = untimely.from.as_deref().and_then(find);
    let lost = from.map_or_else(
        || "; which operator spoiled its inputs is not known".to_owned(),
        |from| format!("; {}", lost(from, walk)),
    );
    let (reproduced, of) = walk.trust.reproduced;
    Verdict {
        kind: Kind::Nonfinite,
        sentence: format!(
            "at `{}` ({}, {}) {} come up where the reference has numbers: {}; the operator is right on its inputs, and those are wrong{lost}",
            op.name,
            op.op_type,
            op.backend,
            born.count(),
            born.words(),
        ),
        confidence: Confidence { reproduced, of },
        diagnosis: Vec::new(),
        hint: from.map(|from| {
            format!(
                "keep `{}` and what it is computed from in a wider format, or rewrite it so that rounding does not cost its whole value",
                from.name
            )
        }),
    }
}

/// The error of rounding at the operator whose value was lost.
fn lost(from: &OpReport, walk: &WalkReport) -> String {
    let (name, op_type) = (&from.name, &from.op_type);
    let error = from.cumulative.unwrap_or(0.0);
    let inputs = match from.inherited {
        Some(inherited) if inherited > 0.0 => {
            format!(
                "inputs that are off by {inherited:.1e} become a result that is off by {error:.1e}"
            )
        }
        _ => format!("its result is off by {error:.1e}"),
    };
    format!(
        "they lost their value at `{name}` ({op_type}): {inputs} (relative L2), which is what {} rounding costs there",
        walk.storage.name()
    )
}
