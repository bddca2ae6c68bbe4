//! Distinct results of many runs. Digests tell them apart; only one result of each kind is kept.

use crate::engine::Output;
use crate::tensor::Digest;

/// The most different results whose tensors are kept: the usual one, and some to compare with it.
const KEPT: usize = 4;

/// The distinct results of many runs.
#[derive(Debug, Default)]
pub struct ResultTally {
    seen: Vec<SeenResult>,
    /// Which of the results each run had.
    order: Vec<usize>,
}

/// One result, and how many runs had it.
#[derive(Debug)]
pub struct SeenResult {
    /// The digest of all outputs.
    pub digest: Digest,
    /// How many runs had it.
    pub runs: usize,
    /// The first run that had it, counted from 1.
    pub first: usize,
    /// The outputs; empty if too many results were kept before.
    pub outputs: Vec<Output>,
}

impl ResultTally {
    /// Counts the outputs of a run.
    pub fn add(&mut self, outputs: Vec<Output>) {
        let digest = digest_of(&outputs);
        let known = self.seen.iter().position(|seen| seen.digest == digest);
        let kind = known.unwrap_or_else(|| {
            let outputs = if self.seen.len() < KEPT { outputs } else { Vec::new() };
            self.seen.push(SeenResult { digest, runs: 0, first: self.order.len() + 1, outputs });
            self.seen.len() - 1
        });
        self.seen[kind].runs += 1;
        self.order.push(kind);
    }

    /// The distinct results, in the order in which they came.
    pub fn distinct(&self) -> &[SeenResult] {
        &self.seen
    }

    /// Which of the results each run had, by its place among the distinct ones.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Whether all runs had the same result.
    pub fn is_steady(&self) -> bool {
        self.seen.len() <= 1
    }

    /// The result that most runs had, the first of several; `None` without runs.
    pub fn usual(&self) -> Option<&SeenResult> {
        self.seen.iter().rev().max_by_key(|seen| seen.runs)
    }

    /// The kept results other than the usual one.
    pub fn others(&self) -> impl Iterator<Item = &SeenResult> {
        let usual = self.usual().map(|seen| seen.digest.clone());
        self.seen
            .iter()
            .filter(move |seen| !seen.outputs.is_empty() && usual.as_ref() != Some(&seen.digest))
    }
}

/// The digest of outputs: their names, types, shapes and bytes.
pub fn digest_of(outputs: &[Output]) -> Digest {
    let heads: Vec<String> = outputs
        .iter()
        .map(|Output { name, tensor }| format!("{name} {} {:?}\n", tensor.dtype(), tensor.shape()))
        .collect();
    let bytes: Vec<_> = outputs.iter().map(|output| output.tensor.bytes()).collect();
    Digest::of(heads.iter().zip(&bytes).flat_map(|(head, bytes)| [head.as_bytes(), bytes]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    #[test]
    fn results_are_told_apart_and_counted() {
        let output = |value: f32| {
            let tensor = Tensor::from_f32(&[1], vec![value]).unwrap();
            vec![Output { name: "y".into(), tensor }]
        };
        let mut tally = ResultTally::default();
        [1.0, 2.0, 1.0, 1.0, 3.0].into_iter().for_each(|value| tally.add(output(value)));
        assert_eq!(tally.order(), [0, 1, 0, 0, 2]);
        assert_eq!(tally.usual().map(|seen| (seen.runs, seen.first)), Some((3, 1)));
        assert_eq!(tally.others().map(|seen| seen.first).collect::<Vec<_>>(), [2, 5]);
        assert!(!tally.is_steady());
    }

    #[test]
    fn the_sign_of_zero_is_a_difference() {
        let zero = |value: f32| {
            let tensor = Tensor::from_f32(&[1], vec![value]).unwrap();
            digest_of(&[Output { name: "y".into(), tensor }])
        };
        assert_ne!(zero(0.0), zero(-0.0));
    }
}
