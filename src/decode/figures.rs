//! How far a target's scores for the next token are from the reference's.

use super::plane::relative;
use serde::{Deserialize, Serialize};

/// How many of the highest scores are compared as a set.
const FIRST: usize = 5;

/// The scores of the words for the next token.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenScores(Vec<f64>);

/// One token of a target against the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TokenFigures {
    /// The reference's token: its highest score, the first of equal ones.
    pub want: usize,
    /// The target's token.
    pub got: usize,
    /// How many of the reference's five highest are among the target's five.
    pub top5: usize,
    /// The rank of the reference's token among the target's scores, from 1.
    pub rank: usize,
    /// The Kullback-Leibler divergence of the target's probabilities from the reference's, in nats.
    #[serde(with = "crate::compare::number")]
    pub kl: f64,
    /// By how much less the reference likes the target's token than its own, in nats.
    #[serde(with = "crate::compare::number")]
    pub regret: f64,
    /// The distance between the reference's two highest scores.
    #[serde(with = "crate::compare::number")]
    pub margin: f64,
    /// The relative L2 error of the scores.
    #[serde(with = "crate::compare::number")]
    pub relative_l2: f64,
    /// What is known about a flip, if the tokens differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip: Option<TokenFlip>,
}

/// A target's token that is not the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TokenFlip {
    /// By how much the reference's scores of the two tokens differ.
    #[serde(with = "crate::compare::number")]
    pub margin: f64,
    /// By how much honest engines of this storage format may change that difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<f64>,
}

impl TokenFlip {
    /// Whether rounding alone may cause the flip; `None` if that was not computed.
    pub fn is_explained(&self) -> Option<bool> {
        self.allowed.map(|allowed| self.margin <= allowed)
    }
}

impl TokenScores {
    /// The scores of the last token: the last row.
    pub fn last_of(numbers: &[f64], vocabulary: usize) -> Self {
        let start = numbers.len().saturating_sub(vocabulary);
        TokenScores(numbers[start..].to_vec())
    }

    /// The scores.
    pub fn numbers(&self) -> &[f64] {
        &self.0
    }

    /// The word of the highest score, the first of equal ones; 0 if every score is NaN.
    pub fn top(&self) -> usize {
        self.order().first().copied().unwrap_or(0)
    }

    /// The words from the highest score to the lowest. NaN comes last.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        let key = |at: &usize| if self.0[*at].is_nan() { f64::NEG_INFINITY } else { self.0[*at] };
        order.sort_by(|a, b| key(b).total_cmp(&key(a)));
        order
    }

    /// Logarithms of the probabilities.
    fn log_probabilities(&self) -> Vec<f64> {
        let highest = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.0.iter().map(|score| (score - highest).exp()).sum();
        self.0.iter().map(|score| score - highest - sum.ln()).collect()
    }

    /// Compares a target's scores with these.
    pub fn compare(&self, found: &TokenScores) -> TokenFigures {
        let (order, other) = (self.order(), found.order());
        let at = |order: &[usize], place: usize| order.get(place).copied().unwrap_or(0);
        let (want, got) = (at(&order, 0), at(&other, 0));
        let first: Vec<&usize> = other.iter().take(FIRST).collect();
        let (p, q) = (self.log_probabilities(), found.log_probabilities());
        let differences = p.iter().zip(&q).map(|(p, q)| match p.exp() {
            0.0 => 0.0,
            share => share * (p - q),
        });
        let gap = |a: usize, b: usize| self.0.get(a).zip(self.0.get(b)).map_or(0.0, |(a, b)| a - b);
        let margin = if order.len() > 1 { gap(want, at(&order, 1)) } else { 0.0 };
        TokenFigures {
            want,
            got,
            top5: order.iter().take(FIRST).filter(|word| first.contains(word)).count(),
            rank: other.iter().position(|&word| word == want).map_or(0, |place| place + 1),
            // Rounding can make a sum that is never negative slightly negative.
            kl: differences.sum::<f64>().max(0.0),
            regret: gap(want, got),
            margin,
            relative_l2: relative(&self.0, &found.0),
            flip: (want != got).then(|| TokenFlip { margin: gap(want, got), allowed: None }),
        }
    }
}
