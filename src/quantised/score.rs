//! How far the outputs of a network are from the float network's, over many inputs.

use crate::engine::Output;
use crate::graph::ValueName;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The distance from the float network over all inputs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// ‖d‖₂ / ‖r‖₂ of the worst output over all inputs; absent if an output is not finite or has a different shape.
    pub relative_l2: Option<f64>,
    /// The share of inputs with the float network's class; absent if no output holds class scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_class: Option<f64>,
    /// The share of inputs with the right class; absent without labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// What the outputs must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuantisedGoal {
    /// At most this relative L2 error.
    Error(f64),
    /// At least this share of inputs with the float network's class.
    SameClass(f64),
}

impl QuantisedGoal {
    /// Whether a score reaches the goal.
    pub fn is_reached(self, score: &Score) -> bool {
        match self {
            QuantisedGoal::Error(most) => score.relative_l2.is_some_and(|error| error <= most),
            QuantisedGoal::SameClass(least) => score.same_class.is_some_and(|same| same >= least),
        }
    }

    /// The goal in words.
    pub fn words(self) -> String {
        match self {
            QuantisedGoal::Error(most) => format!("a relative L2 error of at most {most}"),
            QuantisedGoal::SameClass(least) => {
                format!("the float network's class for at least {} % of the inputs", 100.0 * least)
            }
        }
    }
}

/// Sums over inputs.
#[derive(Debug, Default)]
pub struct ScoreSum {
    /// Squares of the differences and of the float network's elements, for each output.
    squares: Vec<(f64, f64)>,
    is_broken: bool,
    inputs: usize,
    /// Inputs with class scores, those with the float network's class, and those with the right class.
    classes: usize,
    same: usize,
    labels: usize,
    right: usize,
}

impl ScoreSum {
    /// Adds one input. `scores` is the output with class scores.
    pub fn add(
        &mut self,
        float: &[Output],
        found: &[Output],
        scores: Option<&ValueName>,
        label: Option<usize>,
    ) {
        self.inputs += 1;
        self.squares.resize(float.len(), (0.0, 0.0));
        self.is_broken |= float.len() != found.len();
        for (sums, (float, found)) in self.squares.iter_mut().zip(float.iter().zip(found)) {
            match squares(&float.tensor, &found.tensor) {
                Some((differences, elements)) => {
                    *sums = (sums.0 + differences, sums.1 + elements);
                }
                None => self.is_broken = true,
            }
        }
        let class = |outputs: &[Output]| {
            let output = outputs.iter().find(|output| Some(&output.name) == scores)?;
            let is_vector = output.tensor.shape().last() == Some(&output.tensor.len());
            is_vector.then(|| largest(&output.tensor))?
        };
        let Some(right) = class(float) else { return };
        let found = class(found);
        self.classes += 1;
        self.same += usize::from(found == Some(right));
        if label.is_some() {
            self.labels += 1;
            self.right += usize::from(found == label);
        }
    }

    /// The score over all inputs.
    pub fn score(&self) -> Score {
        let share = |some: usize, of: usize| (of > 0).then(|| some as f64 / of as f64);
        let error = |(differences, elements): &(f64, f64)| match *differences > 0.0 {
            true => (differences / elements).sqrt(),
            false => 0.0,
        };
        let worst = self.squares.iter().map(error).fold(0.0, f64::max);
        Score {
            relative_l2: (!self.is_broken && self.inputs > 0 && worst.is_finite()).then_some(worst),
            same_class: share(self.same, self.classes),
            accuracy: share(self.right, self.labels),
        }
    }
}

/// The sums of squares of the differences and of the first tensor's elements.
fn squares(float: &Tensor, found: &Tensor) -> Option<(f64, f64)> {
    if float.shape() != found.shape() {
        return None;
    }
    let pairs = float.numbers(1).into_iter().zip(found.numbers(1));
    let sums = pairs.fold((0.0, 0.0), |(differences, elements), (float, found)| {
        (differences + (found - float).powi(2), elements + float * float)
    });
    (sums.0.is_finite() && sums.1.is_finite()).then_some(sums)
}

/// The position of the largest score. Scores with a NaN choose no class.
fn largest(scores: &Tensor) -> Option<usize> {
    let numbers = scores.numbers(1);
    if numbers.iter().any(|number| number.is_nan()) {
        return None;
    }
    let numbers = numbers.into_iter().enumerate();
    numbers.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(values: [f32; 2]) -> Vec<Output> {
        let tensor = Tensor::from_f32(&[1, 2], values.to_vec()).unwrap();
        vec![Output { name: "y".into(), tensor }]
    }

    #[test]
    fn errors_and_classes_are_counted_over_all_inputs() {
        let mut sum = ScoreSum::default();
        let name = ValueName::from("y");
        sum.add(&outputs([3.0, 0.0]), &outputs([3.0, 1.0]), Some(&name), Some(0));
        sum.add(&outputs([0.0, 4.0]), &outputs([5.0, 4.0]), Some(&name), Some(1));
        let score = sum.score();
        assert_eq!((score.same_class, score.accuracy), (Some(0.5), Some(0.5)));
        assert!((score.relative_l2.unwrap() - (26.0f64 / 25.0).sqrt()).abs() < 1e-12);
        assert!(QuantisedGoal::SameClass(0.5).is_reached(&score));
        assert!(!QuantisedGoal::Error(1.0).is_reached(&score));
    }

    #[test]
    fn what_is_not_finite_reaches_no_error() {
        let mut sum = ScoreSum::default();
        sum.add(&outputs([1.0, 2.0]), &outputs([1.0, f32::NAN]), None, None);
        assert_eq!(sum.score().relative_l2, None);
        // The NaN is where the float network's class is.
        let mut sum = ScoreSum::default();
        let name = ValueName::from("y");
        sum.add(&outputs([1.0, 2.0]), &outputs([1.0, f32::NAN]), Some(&name), Some(1));
        assert_eq!((sum.score().same_class, sum.score().accuracy), (Some(0.0), Some(0.0)));
        assert!(!QuantisedGoal::Error(f64::MAX).is_reached(&sum.score()));
    }
}
