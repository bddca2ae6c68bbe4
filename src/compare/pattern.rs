//! What a difference looks like: an ordered table of rules on the two tensors of one operator.
//!
//! A pattern is a resemblance, not a cause. Each says what it saw and what would disprove it.

use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// One resemblance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// The rule: `all zero`, `tail`.
    pub name: String,
    /// What was seen.
    pub words: String,
    /// What would disprove it.
    pub disproof: String,
}

/// The tensors of one operator, and which elements are wrong.
struct Scene<'a> {
    inputs: Vec<&'a [f32]>,
    shape: &'a [usize],
    reference: &'a [f32],
    candidate: &'a [f32],
    /// Flat positions, ascending.
    wrong: Vec<usize>,
}

struct Rule {
    name: &'static str,
    sees: fn(&Scene<'_>) -> Option<String>,
    disproof: &'static str,
}

/// An element is wrong beyond this share of its reference, or of the typical magnitude.
const WRONG: f32 = 1e-2;
/// How many patterns are worth telling.
const MOST: usize = 3;

const RULES: &[Rule] = &[
    Rule {
        name: "all zero",
        sees: all_zero,
        disproof: "an input for which the right result is not near zero either",
    },
    Rule { name: "all equal", sees: all_equal, disproof: "an input with more spread" },
    Rule {
        name: "equals its input",
        sees: equals_input,
        disproof: "another input: the operator would have to pass it through again",
    },
    Rule { name: "sign", sees: sign, disproof: "an element whose sign is right" },
    Rule {
        name: "unwritten memory",
        sees: unwritten,
        disproof: "two runs with the same huge values; fresh processes differ where memory is not written",
    },
    Rule {
        name: "scale",
        sees: scale,
        disproof: "an input of another magnitude: the factor would have to stay",
    },
    Rule {
        name: "offset",
        sees: offset,
        disproof: "an input with another mean: the offset would have to stay",
    },
    Rule {
        name: "shift",
        sees: shift,
        disproof: "an input counting up: the shift would be read off directly",
    },
    Rule {
        name: "permutation",
        sees: permutation,
        disproof: "an input counting up: it shows where each element went",
    },
    Rule {
        name: "only the first written",
        sees: first_written,
        disproof: "a buffer filled with a known value before the run: the rest would still hold it",
    },
    Rule {
        name: "saturated",
        sees: saturated,
        disproof: "inputs ten times smaller: the limit would not be met",
    },
    Rule {
        name: "flushed subnormals",
        sees: flushed,
        disproof: "inputs scaled up: nothing would be flushed",
    },
    Rule {
        name: "repeated rows",
        sees: repeated_rows,
        disproof: "an input whose rows differ more",
    },
    Rule {
        name: "tail",
        sees: tail,
        disproof: "a length that is a multiple of 4, 8 or 16: the tail would vanish",
    },
    Rule { name: "channels", sees: channels, disproof: "another number of channels" },
    Rule {
        name: "packing by 4",
        sees: packing,
        disproof: "a channel count that is a multiple of 4",
    },
    Rule { name: "border", sees: border, disproof: "no padding: the border would be right" },
    Rule {
        name: "one block",
        sees: block,
        disproof: "another size: a block that is a multiple of the tile would move",
    },
];

/// What the difference of a candidate from a reference resembles, best first.
pub fn recognize(inputs: &[&Tensor], reference: &Tensor, candidate: &Tensor) -> Vec<Pattern> {
    let Some(scene) = Scene::look_at(inputs, reference, candidate) else { return Vec::new() };
    let seen = RULES.iter().filter_map(|rule| {
        let words = (rule.sees)(&scene)?;
        Some(Pattern { name: rule.name.to_owned(), words, disproof: rule.disproof.to_owned() })
    });
    seen.take(MOST).collect()
}

impl<'a> Scene<'a> {
    fn look_at(
        inputs: &[&'a Tensor],
        reference: &'a Tensor,
        candidate: &'a Tensor,
    ) -> Option<Self> {
        let (Tensor::F32(r), Tensor::F32(c)) = (reference, candidate) else { return None };
        let (r, c, shape) = (r.as_slice()?, c.as_slice()?, r.shape());
        let typical = r.iter().map(|v| v.abs()).filter(|v| v.is_finite()).sum::<f32>()
            / r.len().max(1) as f32;
        // Written so that NaN is wrong.
        let is_wrong = |r: f32, c: f32| !((c - r).abs() <= WRONG * r.abs().max(typical) || r == c);
        let wrong: Vec<usize> = (0..r.len()).filter(|&i| is_wrong(r[i], c[i])).collect();
        if r.len() != c.len() || wrong.is_empty() {
            return None;
        }
        let inputs = inputs
            .iter()
            .filter_map(|input| match input {
                Tensor::F32(array) => array.as_slice(),
                _ => None,
            })
            .collect();
        Some(Scene { inputs, shape, reference: r, candidate: c, wrong })
    }

    fn pairs(&self) -> impl Iterator<Item = (f32, f32)> {
        self.reference.iter().copied().zip(self.candidate.iter().copied())
    }

    fn len(&self) -> usize {
        self.reference.len()
    }

    /// Elements per row of the last axis.
    fn row(&self) -> usize {
        self.shape.last().copied().unwrap_or(1).max(1)
    }

    /// Which of these places the wrong elements have, of how many there are.
    fn places(&self, count: usize, place: impl Fn(usize) -> usize) -> Vec<usize> {
        let mut hit = vec![false; count];
        for &flat in &self.wrong {
            hit[place(flat) % count] = true;
        }
        (0..count).filter(|&at| hit[at]).collect()
    }
}

fn when(seen: bool, words: impl FnOnce() -> String) -> Option<String> {
    seen.then(words)
}

fn all_zero(scene: &Scene<'_>) -> Option<String> {
    when(scene.candidate.iter().all(|&c| c == 0.0), || "every element is 0".to_owned())
}

fn all_equal(scene: &Scene<'_>) -> Option<String> {
    let first = *scene.candidate.first()?;
    // Zero is told by a rule of its own.
    let equal = scene.len() > 1 && first != 0.0 && scene.candidate.iter().all(|&c| c == first);
    when(equal, || format!("every element is {first}"))
}

fn equals_input(scene: &Scene<'_>) -> Option<String> {
    let input = scene.inputs.iter().position(|input| *input == scene.candidate)?;
    Some(format!("the output is input {input}, unchanged"))
}

fn sign(scene: &Scene<'_>) -> Option<String> {
    when(scene.pairs().all(|(r, c)| close(-r, c)), || "every element has the other sign".to_owned())
}

fn close(expected: f32, got: f32) -> bool {
    (got - expected).abs() <= 1e-3 * expected.abs() || expected == got
}

/// Values that no arithmetic on the inputs gives: far beyond the reference's range, or mixed with NaN.
fn unwritten(scene: &Scene<'_>) -> Option<String> {
    let largest = scene.reference.iter().fold(0f32, |max, v| max.max(v.abs()));
    let inputs =
        scene.inputs.iter().flat_map(|input| input.iter()).fold(0f32, |max, v| max.max(v.abs()));
    let limit = 1e4 * largest.max(inputs).max(1e-20);
    let wild = scene.candidate.iter().filter(|c| !(c.abs() <= limit)).count();
    when(wild > 0, || {
        format!("{wild} elements are NaN or over 10,000 times larger than anything that went in")
    })
}

fn scale(scene: &Scene<'_>) -> Option<String> {
    let (r, c) = scene.pairs().max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()))?;
    let factor = c / r;
    // Zero is told by a rule of its own.
    let told = factor.is_finite() && factor != 0.0;
    let all = told && scene.pairs().all(|(r, c)| close(r * factor, c));
    when(all && scene.len() > 2, || format!("every element is {factor} times what it should be"))
}

fn offset(scene: &Scene<'_>) -> Option<String> {
    let (r, c) = scene.pairs().next()?;
    let by = c - r;
    let spread = scene.reference.iter().fold(0f32, |max, v| max.max(v.abs()));
    let all = by.is_finite()
        && scene.pairs().all(|(r, c)| (c - r - by).abs() <= 1e-3 * spread.max(by.abs()));
    when(all && scene.len() > 2, || format!("every element is off by {by}"))
}

fn shift(scene: &Scene<'_>) -> Option<String> {
    let (r, c, len) = (scene.reference, scene.candidate, scene.len());
    let most = len.min(4096) as isize / 2;
    let fits = |by: isize| {
        let overlap = (0..len as isize).filter(|i| (0..len as isize).contains(&(i + by)));
        let mut compared = overlap.filter(|&i| r[(i + by) as usize] != 0.0).peekable();
        compared.peek().is_some() && compared.all(|i| close(r[(i + by) as usize], c[i as usize]))
    };
    let by = (1..most).flat_map(|k| [k, -k]).find(|&by| fits(by))?;
    Some(format!(
        "every element is the one {} places {}",
        by.abs(),
        if by > 0 { "later" } else { "earlier" }
    ))
}

fn permutation(scene: &Scene<'_>) -> Option<String> {
    let sorted = |values: &[f32]| {
        let mut values = values.to_vec();
        values.sort_unstable_by(f32::total_cmp);
        values
    };
    let (r, c) = (sorted(scene.reference), sorted(scene.candidate));
    let same = r.iter().zip(&c).all(|(&r, &c)| close(r, c));
    when(same, || {
        format!("the values are right, {} of them in the wrong places", scene.wrong.len())
    })
}

/// The first elements are right to the last digits, nearly all others are wrong.
fn first_written(scene: &Scene<'_>) -> Option<String> {
    let exact = |(r, c): &(f32, f32)| (c - r).abs() <= 1e-5 * r.abs() && *r != 0.0;
    let right = scene.pairs().take_while(exact).count();
    let rest = scene.len() - right;
    let wrong = scene.wrong.iter().filter(|&&flat| flat >= right).count();
    let seen = right > 0 && 4 * right <= scene.len() && 10 * wrong >= 9 * rest;
    when(seen, || {
        format!(
            "the first {right} of {} elements are right, the rest is what was there before",
            scene.len()
        )
    })
}

fn saturated(scene: &Scene<'_>) -> Option<String> {
    let limit = scene.wrong.iter().map(|&i| scene.candidate[i].abs()).fold(0f32, f32::max);
    let all = scene
        .wrong
        .iter()
        .all(|&i| scene.candidate[i].abs() == limit && scene.reference[i].abs() > limit);
    when(all && limit > 0.0, || format!("{} elements stop at {limit}", scene.wrong.len()))
}

/// The smallest normal `f16`.
const F16_NORMAL: f32 = 6.103_515_6e-5;

fn flushed(scene: &Scene<'_>) -> Option<String> {
    let all = scene
        .wrong
        .iter()
        .all(|&i| scene.candidate[i] == 0.0 && scene.reference[i].abs() < F16_NORMAL);
    when(all, || {
        format!("{} elements below 6.1e-5, the smallest normal f16, became 0", scene.wrong.len())
    })
}

fn repeated_rows(scene: &Scene<'_>) -> Option<String> {
    let row = scene.row();
    let mut rows = scene.candidate.chunks(row);
    let first = rows.next()?;
    let differ = scene.reference.chunks(row).any(|r| r != &scene.reference[..row]);
    let repeated = scene.len() > row && row > 1 && rows.all(|r| r == first);
    when(repeated && differ, || format!("every row of {row} is the first one again"))
}

fn tail(scene: &Scene<'_>) -> Option<String> {
    let row = scene.row();
    let columns = scene.places(row, |flat| flat % row);
    let first = *columns.first()?;
    let contiguous = columns.len() == row - first && first > 0 && columns.len() <= row / 2;
    when(contiguous, || format!("only the last {} of each row of {row} are wrong", columns.len()))
}

fn channels(scene: &Scene<'_>) -> Option<String> {
    let count = *scene.shape.get(1).filter(|&&count| count > 1)?;
    let inner: usize = scene.shape[2..].iter().product();
    let hit = scene.places(count, |flat| flat / inner.max(1));
    when(hit.len() <= count / 2, || {
        format!("only {} of {count} channels are wrong: {}", hit.len(), listed(&hit))
    })
}

fn packing(scene: &Scene<'_>) -> Option<String> {
    let count = *scene.shape.get(1).filter(|&&count| count > 4)?;
    let inner: usize = scene.shape[2..].iter().product();
    let lanes = scene.places(4, |flat| flat / inner.max(1) % count);
    when(lanes.len() < 4, || {
        format!("only channels whose number modulo 4 is {} are wrong", listed(&lanes))
    })
}

fn border(scene: &Scene<'_>) -> Option<String> {
    let [.., height, width] = *scene.shape else { return None };
    let edge = |flat: usize| {
        let (y, x) = (flat / width % height, flat % width);
        y == 0 || x == 0 || y + 1 == height || x + 1 == width
    };
    let all = height > 4 && width > 4 && scene.wrong.iter().all(|&flat| edge(flat));
    when(all, || format!("only the outermost elements of each {height}x{width} plane are wrong"))
}

fn block(scene: &Scene<'_>) -> Option<String> {
    let (first, last) = (*scene.wrong.first()?, *scene.wrong.last()?);
    let span = last - first + 1;
    let inside = span * 2 <= scene.len() && scene.wrong.len() * 2 >= span;
    when(inside, || format!("the wrong elements lie between {first} and {last} of {}", scene.len()))
}

fn listed(numbers: &[usize]) -> String {
    let shown: Vec<String> = numbers.iter().take(8).map(usize::to_string).collect();
    let more = if numbers.len() > 8 { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(shape: &[usize], reference: &[f32], candidate: &[f32], input: &[f32]) -> Vec<String> {
        let tensor =
            |values: &[f32], shape: &[usize]| Tensor::from_f32(shape, values.to_vec()).unwrap();
        let input = tensor(input, &[input.len()]);
        let patterns = recognize(&[&input], &tensor(reference, shape), &tensor(candidate, shape));
        patterns.into_iter().map(|pattern| pattern.name).collect()
    }

    fn ramp(len: usize) -> Vec<f32> {
        (0..len).map(|i| 1.0 + (i as f32 * 0.37).sin() + i as f32 / 7.0).collect()
    }

    #[test]
    fn each_pattern_is_seen_first_where_it_is_planted() {
        let right = ramp(24);
        let plant = |change: &dyn Fn(usize) -> f32| (0..24).map(change).collect::<Vec<f32>>();
        let first = |candidate: &[f32]| {
            seen(&[1, 6, 2, 2], &right, candidate, &[9.0]).first().cloned().unwrap_or_default()
        };
        assert_eq!(first(&plant(&|_| 0.0)), "all zero");
        assert_eq!(first(&plant(&|_| 3.0)), "all equal");
        assert_eq!(first(&plant(&|i| -right[i])), "sign");
        assert_eq!(first(&plant(&|i| if i == 3 { 1e30 } else { right[i] })), "unwritten memory");
        assert_eq!(first(&plant(&|i| right[i] * 2.0)), "scale");
        assert_eq!(first(&plant(&|i| right[i] + 5.0)), "offset");
        assert_eq!(first(&plant(&|i| right[(i * 5) % 24])), "permutation");
        assert_eq!(first(&plant(&|i| if i < 21 { right[i + 3] } else { 9.0 })), "shift");
        assert_eq!(first(&plant(&|i| right[i].min(2.5))), "saturated");
        assert_eq!(
            first(&plant(&|i| if i / 4 == 2 { 9.0 + i as f32 } else { right[i] })),
            "channels"
        );
        assert_eq!(seen(&[24], &right, &right, &[1.0]), [""; 0]);
        assert_eq!(
            seen(
                &[24],
                &right,
                &ramp(24).iter().map(|v| v * 3.0 + 1.0).collect::<Vec<_>>(),
                &[1.0]
            ),
            [""; 0]
        );
    }

    #[test]
    fn an_output_of_which_only_the_start_is_written_is_seen() {
        let right = ramp(64);
        let wrong: Vec<f32> =
            (0..64).map(|i| if i < 2 { right[i] } else { (i % 3) as f32 - 9.0 }).collect();
        assert_eq!(seen(&[64], &right, &wrong, &[1.0])[0], "only the first written");
    }

    #[test]
    fn a_tail_and_an_input_passed_through_are_seen() {
        let right = ramp(30);
        let wrong: Vec<f32> =
            right.iter().enumerate().map(|(i, &v)| if i % 10 > 7 { v - 9.0 } else { v }).collect();
        assert_eq!(seen(&[3, 10], &right, &wrong, &[1.0])[0], "tail");
        let passed: Vec<f32> = right.iter().map(|v| v.exp()).collect();
        assert_eq!(seen(&[30], &right, &passed, &passed)[0], "equals its input");
    }
}
