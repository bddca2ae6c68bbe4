//! The sums of one lane's records: exact counts, quantiles and the worst inputs.

use super::classes::{ClassOutcome, Classes, TOP};
use super::record::{MeasuredInput, Record};
use super::sketch::{Mean, Sketch};
use super::statistics::Pairs;
use super::worst::{WorstInput, insert};
use crate::compare::Agreement;
use crate::engine::{Outcome, RanOn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many inputs without comparable outputs are kept, with their reasons.
const MOST_FAILED: usize = 10;

/// Everything that is known about one lane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LaneTally {
    /// How many inputs the lane received.
    pub inputs: u64,
    /// How often each outcome occurred.
    pub outcomes: BTreeMap<String, u64>,
    /// The engines that really ran, each once.
    pub ran_on: Vec<RanOn>,
    /// The tolerances' verdicts on the outputs against the reference's.
    pub agreements: Agreements,
    /// The tolerances' verdicts against the expected outputs; all 0 if the data set expects none.
    pub expected: Agreements,
    /// Inputs with NaN or infinities that the reference does not have.
    pub nonfinite: u64,
    /// Inputs that were run more than once.
    pub repeated: u64,
    /// Repeated inputs whose bytes were not the same each time.
    pub unstable: u64,
    /// Classes, if an output holds class scores.
    pub classes: ClassTally,
    /// ‖d‖₂ / ‖r‖₂ of each input.
    pub rel_l2: Sketch,
    /// max |d| of each input.
    pub max_abs: Sketch,
    /// 1 minus the cosine of each input.
    pub angle: Sketch,
    /// Spearman's rank correlation of each input.
    pub rank: Mean,
    /// 1 minus the rank correlation of each input.
    pub rank_loss: Sketch,
    /// The worst inputs, the worst first.
    pub worst: Vec<WorstInput>,
    /// The first inputs without comparable outputs.
    pub failed: Vec<Failed>,
}

/// How often the tolerances reached each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreements {
    /// Equal, or within the tolerance.
    pub agrees: u64,
    /// Only the rounding of one format differs.
    pub explained: u64,
    /// Beyond the tolerance.
    pub diverges: u64,
    /// Not compared.
    pub incomparable: u64,
}

/// What happened to the classes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassTally {
    /// Inputs whose class equals the reference's.
    pub same: u64,
    /// Inputs whose class differs, and rounding may have chosen.
    pub ties: u64,
    /// Inputs whose class differs, and rounding does not explain the change.
    pub flipped: u64,
    /// Inputs without a class, because a score is NaN on one side, or different scores on each.
    pub none: u64,
    /// Inputs without a class on either side, because the same scores are NaN on both.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unclassed: u64,
    /// Inputs with five classes or more.
    pub of_five: u64,
    /// Of these, inputs whose reference class is among the first five.
    pub among_five: u64,
    /// Which lane is right, over the inputs with a label.
    pub pairs: Pairs,
    /// Inputs with a label and five classes or more.
    pub labelled_five: u64,
    /// Of these, inputs whose label is among the reference's first five.
    pub reference_five: u64,
    /// Of these, inputs whose label is among the lane's first five.
    pub target_five: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// An input without comparable outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The input's number, from 0.
    pub input: usize,
    /// The input's name.
    pub id: String,
    /// How the run ended.
    pub outcome: Outcome,
    /// Why the outputs are missing or incomparable.
    pub reason: String,
}

impl LaneTally {
    /// Adds one record.
    pub fn absorb(&mut self, record: &Record) {
        self.inputs += 1;
        *self.outcomes.entry(record.outcome.name().to_owned()).or_default() += 1;
        self.add_places(record.ran_on.as_slice());
        if let Some(identical) = record.identical {
            self.repeated += 1;
            self.unstable += u64::from(!identical);
        }
        if let Some(expected) = &record.expected {
            self.expected.count(expected.agreement);
        }
        if let Some(measured) = &record.measured {
            self.add(measured, record.label);
        }
        if let Some(worst) = WorstInput::of(record) {
            insert(&mut self.worst, worst);
        }
        self.failed.extend(Failed::of(record));
        self.trim();
    }

    fn add(&mut self, measured: &MeasuredInput, label: Option<usize>) {
        self.agreements.count(measured.agreement);
        if measured.agreement == Agreement::Incomparable {
            return;
        }
        self.nonfinite += u64::from(measured.disagreeing > 0);
        self.rel_l2.add(measured.rel_l2);
        self.max_abs.add(measured.max_abs);
        self.angle.add((1.0 - measured.cosine).max(0.0));
        if let Some(rank) = measured.rank {
            self.rank.add(rank);
            self.rank_loss.add((1.0 - rank).max(0.0));
        }
        if let Some(classes) = &measured.classes {
            self.classes.add(classes, label);
        }
    }

    /// Adds the counts of a second part of the same lane.
    pub fn merge(&mut self, other: &LaneTally) {
        self.inputs += other.inputs;
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
        self.add_places(&other.ran_on);
        self.agreements.merge(&other.agreements);
        self.expected.merge(&other.expected);
        self.nonfinite += other.nonfinite;
        self.repeated += other.repeated;
        self.unstable += other.unstable;
        self.classes.merge(&other.classes);
        self.rel_l2.merge(&other.rel_l2);
        self.max_abs.merge(&other.max_abs);
        self.angle.merge(&other.angle);
        self.rank.merge(other.rank);
        self.rank_loss.merge(&other.rank_loss);
        other.worst.iter().for_each(|worst| insert(&mut self.worst, worst.clone()));
        self.failed.extend_from_slice(&other.failed);
        self.trim();
    }

    /// How many inputs were compared with the reference's outputs.
    pub fn compared(&self) -> u64 {
        self.agreements.all() - self.agreements.incomparable
    }

    /// Keeps the same order, no matter which record came first.
    fn add_places(&mut self, places: &[RanOn]) {
        for place in places {
            if !self.ran_on.contains(place) {
                self.ran_on.push(place.clone());
            }
        }
        self.ran_on.sort_by_cached_key(|place| format!("{place:?}"));
    }

    fn trim(&mut self) {
        self.failed.sort_by_key(|failed| failed.input);
        self.failed.truncate(MOST_FAILED);
    }
}

impl Failed {
    fn of(record: &Record) -> Option<Self> {
        let incomparable = record.measured.as_ref().and_then(|m| m.incomparable.as_ref());
        let failed = record.outcome != Outcome::Completed || incomparable.is_some();
        failed.then(|| Failed {
            input: record.input,
            id: record.id.clone(),
            outcome: record.outcome,
            reason: incomparable.or(record.reason.as_ref()).cloned().unwrap_or_default(),
        })
    }
}

impl Agreements {
    fn count(&mut self, agreement: Agreement) {
        *match agreement {
            Agreement::Agrees => &mut self.agrees,
            Agreement::Explained => &mut self.explained,
            Agreement::Diverges => &mut self.diverges,
            Agreement::Incomparable => &mut self.incomparable,
        } += 1;
    }

    fn merge(&mut self, other: &Agreements) {
        self.agrees += other.agrees;
        self.explained += other.explained;
        self.diverges += other.diverges;
        self.incomparable += other.incomparable;
    }

    /// The sum of all four counts.
    pub fn all(&self) -> u64 {
        self.agrees + self.explained + self.diverges + self.incomparable
    }
}

impl ClassTally {
    fn add(&mut self, classes: &Classes, label: Option<usize>) {
        *match classes.choice {
            ClassOutcome::Same => &mut self.same,
            ClassOutcome::Tie => &mut self.ties,
            ClassOutcome::Flipped => &mut self.flipped,
            ClassOutcome::None => &mut self.none,
            ClassOutcome::Neither => &mut self.unclassed,
        } += 1;
        let five = classes.reference.len().max(classes.target.len()) >= TOP;
        self.of_five += u64::from(five);
        self.among_five += u64::from(five && classes.is_among());
        let Some(label) = label else { return };
        let right = |classes: &[usize]| classes.first() == Some(&label);
        *match (right(&classes.reference), right(&classes.target)) {
            (true, true) => &mut self.pairs.both,
            (true, false) => &mut self.pairs.only_reference,
            (false, true) => &mut self.pairs.only_target,
            (false, false) => &mut self.pairs.neither,
        } += 1;
        self.labelled_five += u64::from(five);
        self.reference_five += u64::from(five && classes.reference.contains(&label));
        self.target_five += u64::from(five && classes.target.contains(&label));
    }

    fn merge(&mut self, other: &ClassTally) {
        for (mine, theirs) in self.counts().into_iter().zip(other.clone().counts()) {
            *mine += *theirs;
        }
    }

    fn counts(&mut self) -> [&mut u64; 14] {
        let ClassTally { same, ties, flipped, none, unclassed, of_five, among_five, pairs, .. } =
            self;
        let Pairs { both, only_reference, only_target, neither } = pairs;
        [
            same,
            ties,
            flipped,
            none,
            unclassed,
            of_five,
            among_five,
            both,
            only_reference,
            only_target,
            neither,
            &mut self.labelled_five,
            &mut self.reference_five,
            &mut self.target_five,
        ]
    }

    /// Inputs with a class to compare, on one side at least.
    pub fn compared(&self) -> u64 {
        self.same + self.ties + self.flipped + self.none
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agree::worst::MOST_WORST;
    use crate::agree::{Rule, measure};
    use crate::engine::Output;
    use crate::inputs::Random;
    use crate::tensor::Tensor;

    fn record(input: usize, random: &mut Random) -> Record {
        let output = |scale: f64, random: &mut Random| {
            let scores = (0..6).map(|class| (class as f64 + scale * random.normal()) as f32);
            let tensor = Tensor::from_f32(&[1, 6], scores.collect()).unwrap();
            [Output { name: "scores".into(), tensor }]
        };
        let rule = Rule {
            declared: None,
            user: None,
            scores: Some("scores".into()),
            source: None,
            parting: None,
        };
        let (reference, lane) = (output(0.0, random), output(0.4, random));
        let died = input % 7 == 3;
        Record {
            outcome: if died { Outcome::Crashed } else { Outcome::Completed },
            reason: died.then(|| "died".to_owned()),
            label: Some(5 - input % 2),
            identical: Some(!input.is_multiple_of(5)),
            measured: (!died).then(|| measure(&reference, &lane, &rule)),
            ..Record::completed(input)
        }
    }

    fn tally<'r>(records: impl Iterator<Item = &'r Record>) -> LaneTally {
        let mut tally = LaneTally::default();
        records.for_each(|record| tally.absorb(record));
        tally
    }

    #[test]
    fn any_shares_in_any_order_add_up_to_the_whole() {
        let mut random = Random::new(3);
        let records: Vec<Record> = (0..300).map(|input| record(input, &mut random)).collect();
        let whole = tally(records.iter());
        assert_eq!((whole.inputs, whole.worst.len()), (300, MOST_WORST));
        assert!(whole.classes.flipped > 0 && whole.classes.pairs.only_reference > 0);
        for of in 2..6 {
            let share = |index: usize| tally(records.iter().skip(index).step_by(of));
            let mut merged = LaneTally::default();
            (0..of).rev().for_each(|index| merged.merge(&share(index)));
            let json = |tally: &LaneTally| serde_json::to_string(tally).unwrap();
            assert_eq!(json(&merged), json(&whole), "{of}");
        }
    }

    #[test]
    fn nothing_is_unaccounted_for() {
        let mut random = Random::new(4);
        let records: Vec<Record> = (0..70).map(|input| record(input, &mut random)).collect();
        let tally = tally(records.iter());
        assert_eq!(tally.compared() + tally.outcomes["crashed"], tally.inputs);
        assert_eq!(tally.classes.compared(), tally.compared());
        assert_eq!(tally.classes.pairs.count(), tally.compared());
        assert_eq!((tally.failed[0].input, tally.unstable), (3, 14));
    }
}
