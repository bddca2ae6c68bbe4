//! From outputs to numbers: one lane's outputs against the reference's or the expected ones.

use super::classes::Classes;
use super::rank::rank_correlation;
use super::record::MeasuredInput;
use crate::choice::{Choice, ReferenceSource, may_be_choice};
use crate::compare::{
    Agreement, CompareOptions, Comparison, Declared, Judging, Storage, Tolerance, compare_with,
    judge,
};
use crate::engine::Output;
use crate::graph::ValueName;
use crate::tensor::{Dtype, Format, Tensor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kind of the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Class scores: the class counts.
    Classify,
    /// Numbers or an embedding: each element counts.
    Regress,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Task::Classify => "classify",
            Task::Regress => "regress",
        })
    }
}

/// How a lane is measured.
#[derive(Clone)]
pub struct Rule<'a> {
    /// The storage format that the lane declares.
    pub declared: Option<Format>,
    /// The tolerance that the user set instead of the table's.
    pub user: Option<Tolerance>,
    /// The output that holds class scores, if there is one.
    pub scores: Option<ValueName>,
    /// How to ask the reference about this input, if an output is a choice.
    pub source: Option<&'a ReferenceSource<'a>>,
    /// How far apart the reference may have two classes for rounding to swap them; `None` if the distance
    /// cannot be measured.
    pub parting: Option<&'a Parting<'a>>,
}

/// How far rounding may move two classes apart, from an output, the reference's scores and the classes.
type Parting<'a> = dyn Fn(&ValueName, &Tensor, [usize; 2]) -> Option<f64> + 'a;

impl Rule<'_> {
    /// How near an output's choices were, if the output is a choice and differs from the reference's.
    fn choice(&self, name: &ValueName, pair: [&Tensor; 2]) -> Option<Choice> {
        self.source?.look(name, pair, |fed| self.judging(fed.dtype()))
    }

    /// How far apart two classes may be for rounding to swap them: as far as roundings move them. If that
    /// distance cannot be measured, or the user set a tolerance, the tolerance decides.
    fn floor(
        &self,
        scores: &Output,
        classes: [usize; 2],
        tolerance: &Tolerance,
        typical: f64,
    ) -> f64 {
        let measured = self.parting.filter(|_| self.user.is_none());
        let measured = measured.and_then(|parting| parting(&scores.name, &scores.tensor, classes));
        measured.unwrap_or_else(|| {
            let numbers = scores.tensor.numbers(1);
            let allowed =
                |class: usize| tolerance.rtol * numbers[class].abs() + tolerance.absolute(typical);
            classes.into_iter().map(allowed).sum()
        })
    }

    fn judging(&self, dtype: Dtype) -> Judging {
        let strict = Storage::named(dtype.name()).map_or(Tolerance::EXACT, |row| row.tolerance);
        let declared = self.declared.filter(|_| dtype.is_float());
        let declared = declared.and_then(|format| Storage::named(format.name()));
        let declared = declared.map_or(Declared::Own, Declared::Storage);
        Judging { strict, declared, user: self.user }
    }
}

/// Whether a tensor has the shape of class scores: `[C]` or `[1, C]`, with two classes at least.
pub(super) fn is_scores(tensor: &Tensor) -> bool {
    matches!(tensor.shape(), [classes] | [1, classes] if *classes >= 2)
}

impl Task {
    /// The output that holds class scores: the first output with their shape.
    pub fn scores(outputs: &[Output]) -> Option<&ValueName> {
        outputs.iter().find(|output| is_scores(&output.tensor)).map(|output| &output.name)
    }
}

/// Measures a lane's outputs against others. A missing output is incomparable. So is an output with a different
/// shape, unless it is a list of kept boxes.
pub fn measure(reference: &[Output], lane: &[Output], rule: &Rule<'_>) -> MeasuredInput {
    let mut measured = MeasuredInput::nothing();
    for expected in reference {
        match lane.iter().find(|output| output.name == expected.name) {
            Some(output) => measured.include(expected, output, rule),
            None => measured.refuse(format!("there is no output `{}`", expected.name)),
        }
    }
    if reference.is_empty() {
        measured.refuse("there is no output to compare with".to_owned());
    }
    measured
}

impl MeasuredInput {
    /// The measure of no outputs.
    fn nothing() -> Self {
        MeasuredInput {
            agreement: Agreement::Agrees,
            incomparable: None,
            max_abs: 0.0,
            rel_l2: 0.0,
            cosine: 1.0,
            rank: None,
            nan: 0,
            disagreeing: 0,
            classes: None,
        }
    }

    fn refuse(&mut self, reason: String) {
        self.agreement = Agreement::Incomparable;
        self.incomparable.get_or_insert(reason);
    }

    fn include(&mut self, expected: &Output, output: &Output, rule: &Rule<'_>) {
        let judging = rule.judging(expected.tensor.dtype());
        let options = CompareOptions { worst: 0, extra_rtol: rule.user.map(|user| user.rtol) };
        let pair = [&expected.tensor, &output.tensor];
        let compared = compare_with(pair[0], pair[1], &options);
        let choice = may_be_choice(&compared).then(|| rule.choice(&expected.name, pair)).flatten();
        let chosen = choice.map(|choice| choice.judgement().agreement);
        let comparison = match (compared, chosen) {
            (Ok(comparison), _) => comparison,
            (Err(_), Some(chosen)) => return self.agreement = worse(self.agreement, chosen),
            (Err(reason), None) => {
                return self.refuse(format!("output `{}`: {reason}", output.name));
            }
        };
        let agreement = chosen.unwrap_or_else(|| judge(&comparison, &judging).agreement);
        self.agreement = worse(self.agreement, agreement);
        self.add(&comparison);
        if expected.tensor.dtype().is_float() {
            let rank = match comparison.mismatched {
                0 => rank_correlation(&expected.tensor, &expected.tensor),
                _ => rank_correlation(&expected.tensor, &output.tensor),
            };
            self.rank = lower(self.rank, rank);
        }
        if rule.scores.as_ref() == Some(&expected.name) {
            let floor =
                |classes| rule.floor(expected, classes, &judging.widest(), comparison.typical);
            self.classes = Classes::new(&expected.tensor, &output.tensor, floor);
        }
    }

    fn add(&mut self, comparison: &Comparison) {
        let finite = |value: f64, otherwise: f64| if value.is_finite() { value } else { otherwise };
        self.max_abs = self.max_abs.max(finite(comparison.max_abs, f64::MAX));
        self.rel_l2 = self.rel_l2.max(finite(comparison.rel_l2, 1.0));
        self.cosine = self.cosine.min(finite(comparison.cosine, 0.0));
        self.nan += comparison.nonfinite.candidate.nan;
        self.disagreeing += comparison.nonfinite.disagreeing;
    }
}

fn lower(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The worse of two; an incomparable output is the worst, for its error is unknown.
fn worse(a: Agreement, b: Agreement) -> Agreement {
    const ORDER: [Agreement; 4] =
        [Agreement::Incomparable, Agreement::Diverges, Agreement::Explained, Agreement::Agrees];
    ORDER.into_iter().find(|worst| *worst == a || *worst == b).unwrap_or(a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agree::ClassOutcome;

    fn output(name: &str, values: &[f32]) -> Output {
        let tensor = Tensor::from_f32(&[1, values.len()], values.to_vec()).unwrap();
        Output { name: name.into(), tensor }
    }

    fn rule(declared: Option<Format>) -> Rule<'static> {
        Rule { declared, user: None, scores: Some("a".into()), source: None, parting: None }
    }

    #[test]
    fn the_worst_of_several_outputs_counts() {
        let reference = [output("a", &[1.0, 2.0]), output("b", &[1.0, 2.0])];
        let lane = [output("b", &[1.0, 4.0]), output("a", &[1.0, 2.0])];
        let measured = measure(&reference, &lane, &rule(None));
        assert_eq!((measured.agreement, measured.max_abs), (Agreement::Diverges, 2.0));
        assert_eq!(measured.classes.unwrap().choice, ClassOutcome::Same);
        assert_eq!(measured.rank, Some(1.0));
    }

    #[test]
    fn what_is_missing_is_not_right() {
        let measured = measure(&[output("a", &[1.0])], &[], &rule(None));
        assert_eq!(measured.agreement, Agreement::Incomparable);
        assert_eq!(measure(&[], &[], &rule(None)).agreement, Agreement::Incomparable);
        let other = measure(&[output("a", &[1.0])], &[output("a", &[1.0, 2.0])], &rule(None));
        assert!(other.incomparable.unwrap().contains("shape"));
    }

    #[test]
    fn the_declared_storage_widens_the_floor() {
        let (reference, lane) = ([output("a", &[0.500, 0.499])], [output("a", &[0.499, 0.5])]);
        let choice = |declared| measure(&reference, &lane, &rule(declared)).classes.unwrap().choice;
        assert_eq!(choice(None), ClassOutcome::Flipped);
        assert_eq!(choice(Some(Format::F16)), ClassOutcome::Tie);
    }

    #[test]
    fn numbers_that_no_json_has_do_not_get_into_it() {
        let measured =
            measure(&[output("a", &[0.0, 0.0])], &[output("a", &[1.0, f32::NAN])], &rule(None));
        assert_eq!((measured.rel_l2, measured.nan, measured.disagreeing), (1.0, 1, 1));
        let text = serde_json::to_string(&measured).unwrap();
        assert_eq!(serde_json::from_str::<MeasuredInput>(&text).unwrap(), measured);
    }
}
