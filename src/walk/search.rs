//! The search of the cut strategy finds the position on a line at which "agrees" turns into "diverges". The search
//! knows no graph and no engine, and accepts "unknown" as an answer.
//!
//! Errors are not monotone along a network, because a clip absorbs them. So the search finds *a* turn from agreement to
//! divergence, proven on both sides. The caller confirms whether it is the only turn.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A probe's answer at one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// All values up to here are right.
    Agrees,
    /// A value here is wrong.
    Diverges,
    /// The answer is unknown, because the probe was refused, crashed or timed out.
    Unknown,
}

impl Answer {
    /// The answer as a word.
    pub fn name(self) -> &'static str {
        match self {
            Answer::Agrees => "agrees",
            Answer::Diverges => "diverges",
            Answer::Unknown => "unknown",
        }
    }
}

/// The position at which the answers turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The last position known to agree; `None` is the start, before position 0.
    pub last_good: Option<usize>,
    /// The first position known to diverge.
    pub first_bad: usize,
    /// Positions between the two with an unknown answer.
    pub unknown: Vec<usize>,
}

/// Finds a turn in `0..=bad`. Position `bad` is known to diverge, and all is right before 0.
///
/// Halves the interval: a line of N positions needs ⌈log2 N⌉ probes if every probe has an answer. `prefers(start, at)`
/// says whether `at` is a good position to probe when all before `start` is right. A preferred position in the middle
/// half is taken if it costs no extra probe. Around an unknown position, the neighbours are tried, nearest first.
/// `probe(start, at)` answers for one position.
pub fn find_turn(
    bad: usize,
    prefers: &dyn Fn(usize, usize) -> bool,
    probe: &mut dyn FnMut(usize, usize) -> Answer,
) -> Turn {
    // One more than the last good position: 0 means that no position is known to be good.
    let (mut good, mut bad) = (0, bad);
    let mut unknown: Vec<usize> = Vec::new();
    while let Some(at) = next(good, bad, prefers, &unknown) {
        match probe(good, at) {
            Answer::Agrees => good = at + 1,
            Answer::Diverges => bad = at,
            Answer::Unknown => unknown.push(at),
        }
    }
    unknown.retain(|&at| at >= good && at < bad);
    unknown.sort_unstable();
    Turn { last_good: good.checked_sub(1), first_bad: bad, unknown }
}

/// The position in `good..bad` to probe next, as near to the middle as possible.
fn next(
    good: usize,
    bad: usize,
    prefers: &dyn Fn(usize, usize) -> bool,
    unknown: &[usize],
) -> Option<usize> {
    let length = bad.checked_sub(good).filter(|&length| length > 0)?;
    let middle = good + (length - 1) / 2;
    let distance = |at: &usize| at.abs_diff(middle);
    let open = || (good..bad).filter(|at| !unknown.contains(at));
    // After either answer, the rest must need one probe less than this interval.
    let half = (length + 1).next_power_of_two() / 2;
    let is_cheap = |at: &usize| at - good < half && bad - at <= half;
    let near = open().filter(|at| 4 * distance(at) <= length && is_cheap(at));
    let preferred = near.filter(|&at| prefers(good, at)).min_by_key(distance);
    preferred.or_else(|| open().min_by_key(distance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Searches a fixed line of answers and counts the probes.
    fn search(answers: &[Answer], preferred: &[usize]) -> (Turn, usize) {
        let mut probes = 0;
        let prefers = |_, at: usize| preferred.contains(&at);
        let turn = find_turn(answers.len() - 1, &prefers, &mut |_, at| {
            probes += 1;
            answers[at]
        });
        (turn, probes)
    }

    fn ceil_log2(n: usize) -> usize {
        n.next_power_of_two().trailing_zeros() as usize
    }

    #[test]
    fn a_single_turn_is_found_in_log2_probes() {
        let every_third: Vec<usize> = (0..130).filter(|at| at % 3 == 1).collect();
        for length in 1..130 {
            for turn_at in 0..length {
                let answers: Vec<Answer> = (0..length)
                    .map(|at| if at < turn_at { Answer::Agrees } else { Answer::Diverges })
                    .collect();
                for preferred in [&[], every_third.as_slice()] {
                    let (turn, probes) = search(&answers, preferred);
                    assert_eq!(turn.first_bad, turn_at);
                    assert_eq!(turn.last_good, turn_at.checked_sub(1));
                    assert!(probes <= ceil_log2(length), "{probes} probes for {length}");
                }
            }
        }
    }

    #[test]
    fn preferred_positions_are_probed_where_they_are_near_the_middle() {
        let mut seen = Vec::new();
        find_turn(99, &|_, at| [2, 55, 80].contains(&at), &mut |_, at| {
            seen.push(at);
            Answer::Agrees
        });
        assert_eq!(seen[..2], [55, 80]);
    }

    proptest! {
        /// Compares with brute force: both ends are as claimed, and all positions between them are unknown.
        #[test]
        fn the_ends_are_proven(
            codes in proptest::collection::vec(0u8..3, 1..60),
            preferred in proptest::collection::btree_set(0usize..60, 0..10),
        ) {
            let mut answers: Vec<Answer> = codes
                .iter()
                .map(|code| [Answer::Agrees, Answer::Diverges, Answer::Unknown][usize::from(*code)])
                .collect();
            *answers.last_mut().unwrap() = Answer::Diverges;
            let preferred: Vec<usize> = preferred.into_iter().collect();
            let (turn, probes) = search(&answers, &preferred);
            prop_assert_eq!(answers[turn.first_bad], Answer::Diverges);
            if let Some(good) = turn.last_good {
                prop_assert_eq!(answers[good], Answer::Agrees);
            }
            let between = turn.last_good.map_or(0, |good| good + 1)..turn.first_bad;
            prop_assert!(between.clone().all(|at| answers[at] == Answer::Unknown));
            prop_assert_eq!(turn.unknown, between.collect::<Vec<_>>());
            prop_assert!(probes <= answers.len());
        }
    }
}
