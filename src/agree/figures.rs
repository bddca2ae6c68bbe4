//! The numbers that users ask for, computed from the counts: shares with intervals, the drop, quantiles.

use super::sketch::Sketch;
use super::statistics::{CONFIDENCE, McNemar, wilson};
use super::tally::LaneTally;
use serde::{Deserialize, Serialize};

/// The figures that follow from a tally.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The confidence level of the intervals.
    pub confidence: f64,
    /// Inputs whose class equals the reference's.
    pub top1: Option<Share>,
    /// Inputs whose reference class is among the target's first five.
    pub top5: Option<Share>,
    /// Inputs with a label that the reference gets right.
    pub reference_accuracy: Option<Share>,
    /// Inputs with a label that the target gets right.
    pub accuracy: Option<Share>,
    /// Inputs whose label is among the reference's first five.
    pub reference_accuracy5: Option<Share>,
    /// Inputs whose label is among the target's first five.
    pub accuracy5: Option<Share>,
    /// How much accuracy the target loses.
    pub drop: Option<Drop>,
    /// ‖d‖₂ / ‖r‖₂.
    pub rel_l2: Option<Quantiles>,
    /// max |d|.
    pub max_abs: Option<Quantiles>,
    /// 1 minus the cosine.
    pub angle: Option<Quantiles>,
    /// The mean of Spearman's rank correlation over the inputs.
    pub rank: Option<f64>,
    /// 1 minus the rank correlation.
    pub rank_loss: Option<Quantiles>,
}

/// A share of inputs, with Wilson's interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How many inputs count.
    pub count: u64,
    /// How many inputs there are.
    pub of: u64,
    /// The interval's lower end, 0 to 1.
    pub low: f64,
    /// The interval's upper end, 0 to 1.
    pub high: f64,
}

impl Share {
    fn new(count: u64, of: u64) -> Option<Self> {
        let (low, high) = wilson(count, of);
        (of > 0).then_some(Share { count, of, low, high })
    }

    /// The share, 0 to 1.
    pub fn value(&self) -> f64 {
        self.count as f64 / self.of as f64
    }
}

/// How much accuracy a target loses against the reference on the same inputs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drop {
    /// The lost share of right answers; negative if the target wins some.
    pub value: f64,
    /// The lower end of the paired interval.
    pub low: f64,
    /// The upper end of the paired interval.
    pub high: f64,
    /// Inputs that only the reference gets right.
    pub only_reference: u64,
    /// Inputs that only the target gets right.
    pub only_target: u64,
    /// McNemar's test: whether the drop may be chance.
    pub mcnemar: McNemar,
}

/// Quantiles of one number over the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of the inputs have no larger value.
    pub p50: f64,
    /// 90 % of the inputs have no larger value.
    pub p90: f64,
    /// 99 % of the inputs have no larger value.
    pub p99: f64,
    /// The largest value.
    pub max: f64,
}

impl Quantiles {
    fn of(sketch: &Sketch) -> Option<Self> {
        let at = |q| sketch.quantile(q);
        Some(Quantiles { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)?, max: sketch.max()? })
    }
}

impl Figures {
    /// The figures of a lane.
    pub(super) fn of(tally: &LaneTally) -> Self {
        let classes = &tally.classes;
        let pairs = &classes.pairs;
        let labelled = pairs.count();
        let (low, high) = pairs.drop_interval();
        let drop = Drop {
            value: pairs.drop(),
            low,
            high,
            only_reference: pairs.only_reference,
            only_target: pairs.only_target,
            mcnemar: pairs.mcnemar(),
        };
        Figures {
            confidence: CONFIDENCE,
            top1: Share::new(classes.same, classes.compared()),
            top5: Share::new(classes.among_five, classes.of_five),
            reference_accuracy: Share::new(pairs.both + pairs.only_reference, labelled),
            accuracy: Share::new(pairs.both + pairs.only_target, labelled),
            reference_accuracy5: Share::new(classes.reference_five, classes.labelled_five),
            accuracy5: Share::new(classes.target_five, classes.labelled_five),
            drop: (labelled > 0).then_some(drop),
            rel_l2: Quantiles::of(&tally.rel_l2),
            max_abs: Quantiles::of(&tally.max_abs),
            angle: Quantiles::of(&tally.angle),
            rank: tally.rank.value(),
            rank_loss: Quantiles::of(&tally.rank_loss),
        }
    }
}
