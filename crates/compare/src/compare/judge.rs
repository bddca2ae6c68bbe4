//! Judges a comparison by its saved numbers alone.
//!
//! The rules are an ordered table. The first rule that fires decides, and the judgement names that rule.

use super::frontier::FrontierPoint;
use super::metrics::{Comparison, Incomparable};
use super::rounding::Explanation;
use super::tolerance::{Storage, Tolerance};
use crate::tensor::Rounding;
use serde::{Deserialize, Serialize};

/// How far the tensors agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Agreement {
    /// Equal, or within the tolerance that applies.
    Agrees,
    /// Every difference is the rounding of one storage format.
    Explained,
    /// Different beyond the tolerance.
    Diverges,
    /// Not compared. This does not count as agreement.
    Incomparable,
}

/// The storage format that the candidate is known to use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Declared {
    /// No format is known, so any format's rounding is an explanation.
    Nothing,
    /// The reference's format, so no other format's rounding is an excuse.
    Own,
    /// This format.
    Storage(&'static Storage),
}

/// The tolerances and the declared format to judge by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judging {
    /// The tolerance for an honest backend that stores the reference's format.
    pub strict: Tolerance,
    /// The candidate's storage format.
    pub declared: Declared,
    /// The tolerance that the user asked for. It replaces both other tolerances.
    pub user: Option<Tolerance>,
}

impl Judging {
    /// Judges by the tolerance of one storage format. The candidate's format is unknown.
    pub fn strict(storage: &Storage) -> Self {
        Judging { strict: storage.tolerance, declared: Declared::Nothing, user: None }
    }

    /// The storage format that the candidate is known to use, if it differs from the reference's.
    pub fn declared_storage(&self) -> Option<&'static Storage> {
        match self.declared {
            Declared::Storage(storage) => Some(storage),
            Declared::Nothing | Declared::Own => None,
        }
    }

    /// Whether the candidate may use the format whose rounding explains the comparison.
    fn excuses(&self, explanation: &Explanation) -> bool {
        match self.declared {
            Declared::Nothing => true,
            Declared::Own => false,
            Declared::Storage(storage) => {
                let name = explanation.format.name();
                storage.name == name || (storage.name, name) == ("tf32", "f16")
            }
        }
    }

    /// The widest tolerance that could still make the comparison agree.
    pub fn widest(&self) -> Tolerance {
        let declared = self.declared_storage().map(|storage| storage.tolerance);
        self.user.or(declared).unwrap_or(self.strict)
    }
}

/// What a judgement rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum JudgementRule {
    /// The comparison holds no measured difference.
    Unmeasured,
    /// All elements are equal.
    Identical,
    /// NaN or infinities differ.
    Nonfinite,
    /// Within the tolerance that the user asked for.
    #[serde(rename = "user tolerance")]
    UserTolerance,
    /// Within the tolerance of the element type.
    #[serde(rename = "strict tolerance")]
    StrictTolerance,
    /// Every difference is one rounding to the declared format.
    Rounding,
    /// Within the tolerance of the declared storage.
    #[serde(rename = "declared tolerance")]
    DeclaredTolerance,
    /// Beyond every tolerance that applies.
    #[serde(rename = "beyond tolerance")]
    BeyondTolerance,
    /// The outputs could not be compared.
    Incomparable,
    /// The shape or the element type differs.
    Form,
    /// The saved numbers leave the question open.
    Open,
    /// Both tensors have no elements.
    Empty,
    /// The output chooses among nearly equal values.
    Choice,
    /// The storage format cannot hold the values, and this is accepted.
    Overflow,
}

impl JudgementRule {
    /// Whether the output agrees without any allowance for the target's storage.
    pub fn is_exact(self) -> bool {
        matches!(self, JudgementRule::Identical | JudgementRule::StrictTolerance)
    }
}

/// An agreement and the rule behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Judgement {
    /// How far the tensors agree.
    pub agreement: Agreement,
    /// The rule that fired.
    pub rule: JudgementRule,
    /// The rule's finding in words.
    pub words: String,
    /// The least tolerance that would pass, with the relative part of the widest tolerance that was tried.
    /// `None` if no tolerance can help.
    pub needed: Option<FrontierPoint>,
}

struct ToleranceRow {
    name: JudgementRule,
    agreement: Agreement,
    fires: fn(&Comparison, &Judging) -> bool,
    words: fn(&Comparison, &Judging) -> String,
}

const RULES: [ToleranceRow; 8] = [
    ToleranceRow {
        name: JudgementRule::Unmeasured,
        agreement: Agreement::Diverges,
        fires: |comparison, _| comparison.elements == 0 || comparison.max_abs.is_nan(),
        words: |_, _| "the comparison holds no measured difference".to_owned(),
    },
    ToleranceRow {
        name: JudgementRule::Identical,
        agreement: Agreement::Agrees,
        fires: |comparison, _| comparison.mismatched == 0 && comparison.nonfinite.disagreeing == 0,
        words: |comparison, _| format!("all {} elements are equal", comparison.elements),
    },
    ToleranceRow {
        name: JudgementRule::Nonfinite,
        agreement: Agreement::Diverges,
        fires: |comparison, judging| {
            comparison.nonfinite.disagreeing > 0 && !is_explained(comparison, judging)
        },
        words: |comparison, _| {
            format!(
                "{} elements are NaN or infinite on one side only, or not alike",
                comparison.nonfinite.disagreeing
            )
        },
    },
    ToleranceRow {
        name: JudgementRule::UserTolerance,
        agreement: Agreement::Agrees,
        fires: |comparison, judging| judging.user.is_some_and(|user| is_met(&user, comparison)),
        words: |_, judging| format!("within the tolerance asked for, {}", text(&judging.widest())),
    },
    ToleranceRow {
        name: JudgementRule::StrictTolerance,
        agreement: Agreement::Agrees,
        fires: |comparison, judging| judging.user.is_none() && is_met(&judging.strict, comparison),
        words: |_, judging| format!("within the strict tolerance, {}", text(&judging.strict)),
    },
    ToleranceRow {
        name: JudgementRule::Rounding,
        agreement: Agreement::Explained,
        fires: |comparison, judging| is_explained(comparison, judging),
        words: |comparison, _| match &comparison.explained_by {
            Some(explanation) => {
                format!("every difference is the reference rounded {}", rounding(explanation))
            }
            None => String::new(),
        },
    },
    ToleranceRow {
        name: JudgementRule::DeclaredTolerance,
        agreement: Agreement::Agrees,
        fires: |comparison, judging| {
            let declared = judging.declared_storage().filter(|_| judging.user.is_none());
            declared.is_some_and(|storage| is_met(&storage.tolerance, comparison))
        },
        words: |_, judging| {
            let name = judging.declared_storage().map_or("declared", |storage| storage.name);
            format!("within the {name} tolerance, {}", text(&judging.widest()))
        },
    },
    ToleranceRow {
        name: JudgementRule::BeyondTolerance,
        agreement: Agreement::Diverges,
        fires: |_, _| true,
        words: |_, judging| {
            format!("beyond the widest tolerance that applies, {}", text(&judging.widest()))
        },
    },
];

/// Judges a comparison by its saved numbers.
pub fn judge(comparison: &Comparison, judging: &Judging) -> Judgement {
    let rule = RULES.iter().find(|rule| (rule.fires)(comparison, judging));
    let rule = rule.expect("the last rule always fires");
    let rtol = judging.widest().rtol;
    let atol = comparison.needed.least_atol(rtol);
    let helps = comparison.nonfinite.disagreeing == 0 && comparison.finite > 0 && !atol.is_nan();
    Judgement {
        agreement: rule.agreement,
        rule: rule.name,
        words: (rule.words)(comparison, judging),
        needed: helps.then_some(FrontierPoint { rtol, atol }),
    }
}

impl Judgement {
    /// The judgement of tensors that could not be compared, with the reason.
    pub fn incomparable(reason: impl Into<String>) -> Self {
        Judgement::of(Agreement::Incomparable, JudgementRule::Incomparable, reason)
    }

    /// The judgement of an output whose form differs from the reference's. Such an output is wrong for any values.
    pub fn of_form(reason: impl Into<String>) -> Self {
        Judgement::of(Agreement::Diverges, JudgementRule::Form, reason)
    }

    /// The judgement of a question that the saved numbers leave open, with the reason. A second run
    /// must answer the question.
    pub fn open(reason: impl Into<String>) -> Self {
        Judgement::of(Agreement::Incomparable, JudgementRule::Open, reason)
    }

    fn of(agreement: Agreement, rule: JudgementRule, words: impl Into<String>) -> Self {
        Judgement { agreement, rule, words: words.into(), needed: None }
    }
}

impl From<&Incomparable> for Judgement {
    fn from(reason: &Incomparable) -> Self {
        match reason {
            Incomparable::Shape { .. } | Incomparable::Dtype { .. } => {
                Judgement::of_form(reason.to_string())
            }
            // Two empty tensors of one shape cannot differ.
            Incomparable::Empty { .. } => {
                Judgement::of(Agreement::Agrees, JudgementRule::Empty, "both have no elements")
            }
        }
    }
}

/// No tolerance is met without a finite pair. Otherwise, such a comparison would meet every tolerance.
fn is_met(tolerance: &Tolerance, comparison: &Comparison) -> bool {
    comparison.finite > 0 && tolerance.is_met_by(comparison)
}

fn is_explained(comparison: &Comparison, judging: &Judging) -> bool {
    comparison
        .explained_by
        .is_some_and(|explanation| explanation.share == 1.0 && judging.excuses(&explanation))
}

fn text(tolerance: &Tolerance) -> String {
    let Tolerance { rtol, atol, atol_typical } = tolerance;
    match (*atol == 0.0, *atol_typical == 0.0) {
        (true, true) => format!("rtol {rtol:e}"),
        (false, true) => format!("rtol {rtol:e} and atol {atol:e}"),
        (true, false) => format!("rtol {rtol:e} and {atol_typical:e} of the typical magnitude"),
        (false, false) => {
            format!("rtol {rtol:e} and atol {atol:e} or {atol_typical:e} of the typical magnitude")
        }
    }
}

fn rounding(explanation: &Explanation) -> String {
    let format = explanation.format.name();
    match explanation.rounding {
        Rounding::NearestEven => format!("to the nearest {format}"),
        Rounding::TowardZero => format!("toward zero to {format}"),
    }
}
