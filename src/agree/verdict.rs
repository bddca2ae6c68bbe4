//! The verdict on one target over a whole data set. The rules are an ordered table; the first rule that fires
//! decides.

use super::figures::Figures;
use super::measure::Task;
use super::tally::LaneTally;
use crate::verdict::Kind;
use serde::{Deserialize, Serialize};

/// Below this p-value the accuracy is said to fall, even if rounding could explain every changed class.
const SIGNIFICANT: f64 = 0.05;

/// The verdict on one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgreeVerdict {
    /// The kind, which decides the exit code.
    pub kind: Kind,
    /// One sentence.
    pub sentence: String,
}

/// All facts that a rule may look at.
struct LaneFacts<'f> {
    task: Task,
    tally: &'f LaneTally,
    figures: &'f Figures,
    /// How many inputs the reference received.
    inputs: u64,
}

/// A rule: returns a kind if it fires.
type Rule = fn(&LaneFacts<'_>) -> Option<Kind>;

/// The rules, in order.
const RULES: [Rule; 10] = [
    |facts| (facts.tally.compared() == 0).then(|| facts.ended()),
    |facts| (facts.tally.nonfinite > 0).then_some(Kind::Nonfinite),
    |facts| (facts.wrong() > 0).then_some(Kind::Divergent),
    |facts| (facts.tally.expected.diverges > 0).then_some(Kind::Divergent),
    |facts| (facts.tally.unstable > 0).then_some(Kind::Nondeterministic),
    |facts| facts.falls().then_some(Kind::Precision),
    |facts| (facts.tally.compared() < facts.inputs).then(|| facts.ended()),
    |facts| facts.has_no_class().then_some(Kind::Inconclusive),
    |facts| facts.is_explained().then_some(Kind::Explained),
    |_| Some(Kind::Agrees),
];

impl AgreeVerdict {
    /// The verdict on a target that should have run `inputs` inputs. Without any input there is no verdict.
    pub(super) fn new(task: Task, tally: &LaneTally, figures: &Figures, inputs: u64) -> Self {
        let facts = LaneFacts { task, tally, figures, inputs };
        let kind = RULES.iter().find_map(|rule| rule(&facts)).unwrap_or(Kind::Inconclusive);
        AgreeVerdict { kind, sentence: facts.sentence() }
    }
}

impl LaneFacts<'_> {
    /// Inputs that are wrong beyond what rounding explains.
    fn wrong(&self) -> u64 {
        match self.task {
            Task::Classify => self.tally.classes.flipped + self.tally.classes.none,
            Task::Regress => self.tally.agreements.diverges,
        }
    }

    /// Whether no class could be compared because of NaN.
    fn has_no_class(&self) -> bool {
        let classes = &self.tally.classes;
        self.task == Task::Classify && classes.unclassed > 0 && classes.compared() == 0
    }

    fn falls(&self) -> bool {
        self.figures.drop.is_some_and(|drop| drop.value > 0.0 && drop.mcnemar.p < SIGNIFICANT)
    }

    fn is_explained(&self) -> bool {
        match self.task {
            Task::Classify => self.tally.classes.ties > 0,
            Task::Regress => self.tally.agreements.explained > 0,
        }
    }

    /// The kind of the most frequent failure.
    fn ended(&self) -> Kind {
        let ends = [
            ("crashed", Kind::Crashed),
            ("timed_out", Kind::TimedOut),
            ("rejected", Kind::Rejected),
            ("fell_back", Kind::FellBack),
            ("unavailable", Kind::Unavailable),
        ];
        let count = |name: &str| self.tally.outcomes.get(name).copied().unwrap_or(0);
        let most =
            ends.into_iter().filter(|(name, _)| count(name) > 0).max_by_key(|(n, _)| count(n));
        most.map_or(Kind::Inconclusive, |(_, kind)| kind)
    }

    fn sentence(&self) -> String {
        let compared = self.tally.compared();
        let mut clauses = Vec::new();
        if compared == 0 {
            let why = self.tally.failed.first().map_or("nothing ran", |failed| &failed.reason);
            return format!("no output was compared: {why}");
        }
        match self.task {
            Task::Classify => {
                clauses.extend(self.classes());
                clauses.extend(self.scores());
                clauses.extend(self.without_class());
            }
            Task::Regress => clauses.push(self.outputs()),
        }
        clauses.extend(self.accuracy());
        let inputs = |count: u64, what: &str| {
            (count > 0).then(|| format!("{} {what}", counted(count, "input")))
        };
        let tally = self.tally;
        clauses
            .extend(inputs(tally.nonfinite, "with NaN or infinities the reference does not have"));
        clauses.extend(inputs(tally.unstable, "with other bytes when run again"));
        clauses.extend(self.expected());
        clauses.extend(inputs(self.inputs.saturating_sub(compared), "not compared"));
        clauses.join("; ")
    }

    fn classes(&self) -> Option<String> {
        let top1 = self.figures.top1?;
        let classes = &self.tally.classes;
        if top1.count == top1.of && self.scores().is_some() {
            return Some("classes agree".to_owned());
        }
        if (top1.count, top1.of) == (1, 1) {
            return Some("the only input keeps its class".to_owned());
        }
        if top1.count == top1.of {
            return Some(format!("all {} keep their class", counted(top1.of, "input")));
        }
        let changed = top1.of - top1.count;
        let explained = match classes.ties {
            0 => "none of them so near a tie that rounding explains it".to_owned(),
            ties if ties == changed => {
                "each so near a tie that rounding may have chosen".to_owned()
            }
            ties => format!("{ties} so near a tie that rounding may have chosen"),
        };
        let change = if changed == 1 { "changes its class" } else { "change their class" };
        Some(format!("{changed} of {} {change}, {explained}", counted(top1.of, "input")))
    }

    /// How far off the scores are, if the classes do not show it: a class can survive a factor of ten.
    fn scores(&self) -> Option<String> {
        let beyond = self.tally.agreements.diverges;
        if beyond == 0 || self.wrong() > 0 || self.tally.nonfinite > 0 {
            return None;
        }
        let largest = self.figures.rel_l2?.max;
        let compared = counted(self.tally.compared(), "input");
        Some(format!(
            "the scores differ by a relative error of {} at the most, on {beyond} of {compared} beyond the tolerance",
            size(largest)
        ))
    }

    fn without_class(&self) -> Option<String> {
        match self.tally.classes.unclassed {
            0 => None,
            1 => Some("1 input has no class on either side: its scores are NaN in both".into()),
            n => Some(format!(
                "{n} inputs have no class on either side: their scores are NaN in both"
            )),
        }
    }

    fn outputs(&self) -> String {
        let agreements = self.tally.agreements;
        let compared = counted(self.tally.compared(), "input");
        match (agreements.diverges, agreements.explained) {
            (0, 0) => format!("the outputs of all {compared} are within the tolerance"),
            (0, explained) => format!(
                "the outputs of all {compared} are within what is allowed, {explained} by the rounding of their format"
            ),
            (diverges, _) => {
                format!("{diverges} of {compared} have outputs beyond the tolerance")
            }
        }
    }

    fn accuracy(&self) -> Option<String> {
        let (reference, lane, drop) =
            (self.figures.reference_accuracy?, self.figures.accuracy?, self.figures.drop?);
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let (low, high) = (100.0 * drop.low, 100.0 * drop.high);
        Some(format!(
            "right on {}, the reference on {}: {:.2} points lost ({low:.2} to {high:.2}, McNemar p = {})",
            percent(lane.value()),
            percent(reference.value()),
            // Avoids "-0.00".
            100.0 * drop.value + 0.0,
            p_value(drop.mcnemar.p)
        ))
    }

    fn expected(&self) -> Option<String> {
        let expected = self.tally.expected;
        let bad = expected.diverges + expected.incomparable;
        match (expected.all(), bad) {
            (0, _) => None,
            (all, 0) => Some(format!("all {} are as the data set expects", counted(all, "input"))),
            (all, bad) => {
                Some(format!("{bad} of {} are not as the data set expects", counted(all, "input")))
            }
        }
    }
}

/// `1 input`, `12 inputs`.
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// An error, `9.0` or `2.1e-3`.
fn size(error: f64) -> String {
    if (0.1..1e4).contains(&error) { format!("{error:.1}") } else { format!("{error:.1e}") }
}

/// A p-value with two significant digits.
fn p_value(p: f64) -> String {
    if p < 1e-3 { format!("{p:.1e}") } else { format!("{p:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agree::{Record, Rule as Measuring, measure};
    use crate::engine::Output;
    use crate::tensor::Tensor;

    /// The verdict on a lane with these pairs of the reference's and its own scores.
    fn said(pairs: &[([f32; 3], [f32; 3])]) -> AgreeVerdict {
        let output = |scores: [f32; 3]| {
            let tensor = Tensor::from_f32(&[1, 3], scores.to_vec()).unwrap();
            [Output { name: "scores".into(), tensor }]
        };
        let rule = Measuring {
            declared: None,
            user: None,
            scores: Some("scores".into()),
            source: None,
            parting: None,
        };
        let mut tally = LaneTally::default();
        for (input, (reference, lane)) in pairs.iter().enumerate() {
            let measured = Some(measure(&output(*reference), &output(*lane), &rule));
            tally.absorb(&Record { measured, ..Record::completed(input) });
        }
        AgreeVerdict::new(Task::Classify, &tally, &Figures::of(&tally), pairs.len() as u64)
    }

    const ONE: [f32; 3] = [1.0, 2.0, 3.0];
    const NAN: [f32; 3] = [f32::NAN, 2.0, 3.0];

    #[test]
    fn nan_on_both_sides_is_nobodys_fault() {
        let AgreeVerdict { kind, sentence } = said(&[(ONE, ONE), (NAN, NAN), (ONE, ONE)]);
        let words = "all 2 inputs keep their class; 1 input has no class on either side: its scores are NaN in both";
        assert_eq!((kind, sentence.as_str()), (Kind::Agrees, words));
        // Only NaN was compared with NaN.
        assert_eq!(said(&[(NAN, NAN), (NAN, NAN)]).kind, Kind::Inconclusive);
        assert_eq!(said(&[(ONE, ONE), (ONE, NAN)]).kind, Kind::Nonfinite);
        assert_eq!(said(&[(ONE, ONE), (NAN, [1.0, f32::NAN, 3.0])]).kind, Kind::Nonfinite);
    }

    #[test]
    fn classes_that_survive_wrong_scores_are_told_from_right_ones() {
        let AgreeVerdict { kind, sentence } = said(&[(ONE, ONE.map(|v| 10.0 * v)), (ONE, ONE)]);
        let words = "classes agree; the scores differ by a relative error of 9.0 at the most, on 1 of 2 inputs beyond the tolerance";
        assert_eq!((kind, sentence.as_str()), (Kind::Agrees, words));
        assert_eq!(said(&[(ONE, ONE)]).sentence, "the only input keeps its class");
    }
}
