//! Classifies a difference by an ordered table of rules on the two tensors of one operator.
//!
//! A pattern is a resemblance, not a cause. Each pattern states what was seen and what would disprove it.

use super::broadcast;
use super::sample::{OperatorSample, correlation};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// One resemblance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pattern {
    /// The rule's name, such as `all zero` or `tail`.
    pub name: String,
    /// What was seen.
    pub words: String,
    /// What would disprove it.
    pub disproof: String,
}

struct Rule {
    name: &'static str,
    sees: fn(&OperatorSample<'_>) -> Option<String>,
    disproof: &'static str,
    /// Less specific rules that this rule hides.
    hides: &'static [&'static str],
}

/// The most patterns to report.
const MOST: usize = 3;

const RULES: &[Rule] = &[
    Rule {
        name: "flushed subnormals",
        sees: flushed,
        disproof: "scale the inputs up: no value is flushed then",
        hides: &[
            "all zero",
            "all equal",
            "equals its input",
            "scale",
            "offset",
            "wrong broadcast",
            "zeros",
        ],
    },
    Rule {
        name: "all zero",
        sees: all_zero,
        disproof: "an input for which the right result is not near zero either",
        hides: &[
            "all equal",
            "equals its input",
            "scale",
            "offset",
            "wrong broadcast",
            "zeros",
            "only the first right",
        ],
    },
    Rule {
        name: "all equal",
        sees: all_equal,
        disproof: "an input with more spread",
        hides: &["unwritten memory", "offset", "wrong broadcast", "repeated rows"],
    },
    Rule {
        name: "transposed",
        sees: transposed,
        disproof: "symmetric matrices: the result is right then",
        hides: &["permutation"],
    },
    Rule {
        name: "equals its input",
        sees: equals_input,
        disproof: "a different input: the operator passes it through again",
        hides: &["wrong broadcast", "operand missing"],
    },
    Rule { name: "sign", sees: sign, disproof: "an element whose sign is right", hides: &[] },
    Rule {
        name: "unwritten memory",
        sees: unwritten,
        disproof: "two fresh processes: values that were never written differ between them",
        hides: &[],
    },
    Rule {
        name: "scale",
        sees: scale,
        disproof: "an input of a different magnitude: the factor stays the same",
        hides: &["affine"],
    },
    Rule {
        name: "offset",
        sees: offset,
        disproof: "an input with a different mean: the offset stays the same",
        hides: &["affine"],
    },
    Rule {
        name: "shift",
        sees: shift,
        disproof: "an input counting up: the values show the shift",
        hides: &[],
    },
    Rule {
        name: "permutation",
        sees: permutation,
        disproof: "an input counting up: each value shows its old position",
        hides: &[],
    },
    Rule {
        name: "wrong broadcast",
        sees: broadcast::wrong,
        disproof: "an operand that is one number: it is the same however it is broadcast",
        hides: &["only the first right", "operand missing"],
    },
    Rule {
        name: "operand missing",
        sees: broadcast::missing,
        disproof: "a different operand: the elements stay the same",
        hides: &["only the first right", "repeated rows"],
    },
    Rule {
        name: "zeros",
        sees: zeros,
        disproof: "a buffer filled with a known value before the run: what is never written would still hold it",
        hides: &["only the first right", "repeated rows", "saturated"],
    },
    Rule {
        name: "only the first right",
        sees: first_right,
        disproof: "a buffer filled with a known value before the run: the rest would still hold it",
        hides: &[],
    },
    Rule {
        name: "saturated",
        sees: saturated,
        disproof: "inputs ten times smaller: the limit would not be met",
        hides: &[],
    },
    Rule {
        name: "repeated rows",
        sees: repeated_rows,
        disproof: "an input whose rows differ more",
        hides: &[],
    },
    Rule {
        name: "affine",
        sees: affine,
        disproof: "an input of mean 0 and variance 1: a norm would leave it nearly as it is",
        hides: &[],
    },
    Rule {
        name: "tail",
        sees: tail,
        disproof: "a length that is a multiple of 4, 8 or 16: the tail would vanish",
        hides: &[],
    },
    Rule {
        name: "channels",
        sees: channels,
        disproof: "a different number of channels",
        hides: &[],
    },
    Rule {
        name: "packing by 4",
        sees: packing,
        disproof: "a channel count that is a multiple of 4",
        hides: &[],
    },
    Rule {
        name: "border",
        sees: border,
        disproof: "no padding: the border would be right",
        hides: &[],
    },
    Rule {
        name: "one block",
        sees: block,
        disproof: "a different size: the limits move with the tile",
        hides: &[],
    },
];

/// The patterns that a candidate's difference from a reference resembles, best first.
pub fn recognize(inputs: &[&Tensor], reference: &Tensor, candidate: &Tensor) -> Vec<Pattern> {
    let Some(sample) = OperatorSample::look_at(inputs, reference, candidate) else {
        return Vec::new();
    };
    let mut hidden: Vec<&str> = Vec::new();
    let mut seen = Vec::new();
    for rule in RULES {
        if seen.len() == MOST || hidden.contains(&rule.name) {
            continue;
        }
        if let Some(words) = (rule.sees)(&sample) {
            let (name, disproof) = (rule.name.to_owned(), rule.disproof.to_owned());
            seen.push(Pattern { name, words, disproof });
            hidden.extend(rule.hides);
        }
    }
    seen
}

fn when(seen: bool, words: impl FnOnce() -> String) -> Option<String> {
    seen.then(words)
}

fn all_zero(sample: &OperatorSample<'_>) -> Option<String> {
    when(sample.candidate.iter().all(|&c| c == 0.0), || "every element is 0".to_owned())
}

fn all_equal(sample: &OperatorSample<'_>) -> Option<String> {
    let first = *sample.candidate.first()?;
    // Zero has a rule of its own.
    let equal = sample.len() > 1 && first != 0.0 && sample.candidate.iter().all(|&c| c == first);
    when(equal, || format!("every element is {first}"))
}

/// The last two axes are swapped, and the elements are in the row-major order of the swapped shape.
fn transposed(sample: &OperatorSample<'_>) -> Option<String> {
    let [.., rows, columns] = *sample.shape else { return None };
    let matrix = rows * columns;
    let turned = |at: usize| {
        let (start, within) = (at / matrix * matrix, at % matrix);
        start + within % rows * columns + within / rows
    };
    let all = rows > 1
        && columns > 1
        && (0..sample.len()).all(|at| close(sample.reference[turned(at)], sample.candidate[at]));
    when(all, || format!("each {rows}x{columns} matrix is transposed"))
}

fn equals_input(sample: &OperatorSample<'_>) -> Option<String> {
    let input = sample.inputs.iter().position(|input| *input == sample.candidate)?;
    Some(format!("the output is input {input}, unchanged"))
}

fn sign(sample: &OperatorSample<'_>) -> Option<String> {
    when(sample.pairs().all(|(r, c)| close(-r, c)), || {
        "every element has the other sign".to_owned()
    })
}

fn close(expected: f32, got: f32) -> bool {
    (got - expected).abs() <= 1e-3 * expected.abs() || expected == got
}

/// Values that no arithmetic on the inputs produces: far beyond the reference's range, or mixed with NaN.
fn unwritten(sample: &OperatorSample<'_>) -> Option<String> {
    let largest = sample.reference.iter().fold(0f32, |max, v| max.max(v.abs()));
    let inputs =
        sample.inputs.iter().flat_map(|input| input.iter()).fold(0f32, |max, v| max.max(v.abs()));
    let limit = 1e4 * largest.max(inputs).max(1e-20);
    let wild = sample.candidate.iter().filter(|c| !(c.abs() <= limit)).count();
    when(wild > 0, || {
        format!("{wild} elements are NaN or over 10,000 times larger than anything that went in")
    })
}

fn scale(sample: &OperatorSample<'_>) -> Option<String> {
    let (r, c) = sample.pairs().max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()))?;
    let factor = c / r;
    // Zero has a rule of its own.
    let told = factor.is_finite() && factor != 0.0;
    let all = told && sample.pairs().all(|(r, c)| close(r * factor, c));
    when(all && sample.len() > 2, || format!("every element is {factor} times what it should be"))
}

fn offset(sample: &OperatorSample<'_>) -> Option<String> {
    let (r, c) = sample.pairs().next()?;
    let by = c - r;
    let spread = sample.reference.iter().fold(0f32, |max, v| max.max(v.abs()));
    let all = by.is_finite()
        && sample.pairs().all(|(r, c)| (c - r - by).abs() <= 1e-3 * spread.max(by.abs()));
    when(all && sample.len() > 2, || format!("every element is off by {by}"))
}

fn shift(sample: &OperatorSample<'_>) -> Option<String> {
    let (r, c, len) = (sample.reference, sample.candidate, sample.len());
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

fn permutation(sample: &OperatorSample<'_>) -> Option<String> {
    let sorted = |values: &[f32]| {
        let mut values = values.to_vec();
        values.sort_unstable_by(f32::total_cmp);
        values
    };
    let (r, c) = (sorted(sample.reference), sorted(sample.candidate));
    let same = r.iter().zip(&c).all(|(&r, &c)| close(r, c));
    when(same, || {
        format!("the values are right, {} of them in the wrong places", sample.wrong.len())
    })
}

/// All wrong elements are 0. If they cover whole rows of the second-to-last axis, the words name these rows.
fn zeros(sample: &OperatorSample<'_>) -> Option<String> {
    let all = sample.wrong.iter().all(|&at| sample.candidate[at] == 0.0);
    let row = sample.row();
    let rows = *sample.shape.iter().rev().nth(1).filter(|_| all)?;
    let hit = sample.places(rows, |flat| flat / row);
    let whole = (0..sample.len())
        .filter(|flat| hit.binary_search(&(flat / row % rows)).is_ok())
        .all(|flat| sample.candidate[flat] == 0.0);
    let elements = sample.wrong.len();
    Some(if whole && hit.len() < rows {
        format!("rows {} of {rows} are 0, {elements} elements in all", ranges(&hit))
    } else {
        format!("{elements} of {} elements are 0", sample.len())
    })
}

/// Formats consecutive numbers as a range such as `64 to 127`.
fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let words = |&(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    let shown: Vec<String> = runs.iter().take(4).map(words).collect();
    format!("{}{}", shown.join(" and "), if runs.len() > 4 { " and more" } else { "" })
}

/// The candidate is a straight line over the reference. A norm with a different mean and
/// variance produces such an output.
fn affine(sample: &OperatorSample<'_>) -> Option<String> {
    let count = sample.len() as f64;
    if 4 * sample.wrong.len() < sample.len() || sample.len() < 16 {
        return None;
    }
    let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
        sample.pairs().map(|(r, c)| term(f64::from(r), f64::from(c))).sum()
    };
    let (mean_r, mean_c) = (sum(&|r, _| r) / count, sum(&|_, c| c) / count);
    let spread_r = sum(&|r, _| (r - mean_r).powi(2));
    let spread_c = sum(&|_, c| (c - mean_c).powi(2));
    let both = sum(&|r, c| (r - mean_r) * (c - mean_c));
    let slope = both / spread_r;
    let offset = mean_c - slope * mean_r;
    // For NaN, this condition is false.
    let line = both * both >= 0.999 * spread_r * spread_c && spread_c > 0.0 && slope > 0.0;
    // A line also goes through two clusters, such as a border that is wrong and a middle that is right.
    let fitting = sample.pairs().filter(|&(r, c)| {
        let (r, c) = (f64::from(r), f64::from(c));
        (c - slope * r - offset).abs() < (c - r).abs()
    });
    when(line && 4 * fitting.count() >= 3 * sample.len(), || {
        format!(
            "every element is about {slope:.3} times what it should be plus {offset:.3}: a norm uses a different mean or variance",
        )
    })
}

/// The first elements are right to the last digits, and nearly all others are wrong.
fn first_right(sample: &OperatorSample<'_>) -> Option<String> {
    let exact = |(r, c): &(f32, f32)| (c - r).abs() <= 1e-5 * r.abs() && *r != 0.0;
    let right = sample.pairs().take_while(exact).count();
    let rest = sample.len() - right;
    let wrong = sample.wrong.iter().filter(|&&flat| flat >= right).count();
    let seen = right > 0
        && 4 * right <= sample.len()
        && 10 * wrong >= 9 * rest
        && correlation(sample.pairs().skip(right)) < RELATED;
    when(seen, || {
        format!(
            "only the first {right} of {} elements are right: the others may never have been written",
            sample.len()
        )
    })
}

/// From here on the values of a rest are related to the right ones: they were computed, wrongly.
const RELATED: f64 = 0.5;

fn saturated(sample: &OperatorSample<'_>) -> Option<String> {
    let limit = sample.wrong.iter().map(|&i| sample.candidate[i].abs()).fold(0f32, f32::max);
    let all = sample
        .wrong
        .iter()
        .all(|&i| sample.candidate[i].abs() == limit && sample.reference[i].abs() > limit);
    when(all && limit > 0.0 && sample.wrong.len() > 1, || {
        format!("{} elements stop at {limit}", sample.wrong.len())
    })
}

/// The smallest normal `f16`.
const F16_NORMAL: f32 = 6.103_515_6e-5;

fn flushed(sample: &OperatorSample<'_>) -> Option<String> {
    let all = sample
        .wrong
        .iter()
        .all(|&i| sample.candidate[i] == 0.0 && sample.reference[i].abs() < F16_NORMAL);
    when(all, || {
        format!("{} elements below 6.1e-5, the smallest normal f16, became 0", sample.wrong.len())
    })
}

/// Wrong rows that are all alike although the right rows differ. A bias leaves such rows if a product is missing.
fn repeated_rows(sample: &OperatorSample<'_>) -> Option<String> {
    let row = sample.row();
    let mut hit: Vec<usize> = sample.wrong.iter().map(|flat| flat / row).collect();
    hit.dedup();
    let of = |values: &'_ [f32], number: usize| values[number * row..(number + 1) * row].to_vec();
    let first = of(sample.candidate, *hit.first()?);
    let right = of(sample.reference, hit[0]);
    let differ = hit.iter().any(|&number| of(sample.reference, number) != right);
    let alike = hit.iter().all(|&number| of(sample.candidate, number) == first);
    when(row > 1 && hit.len() > 1 && differ && alike, || {
        let (hit, rows) = (hit.len(), sample.len() / row);
        format!(
            "{hit} of {rows} rows hold the same {row} numbers, as a bias does where a product is missing"
        )
    })
}

fn tail(sample: &OperatorSample<'_>) -> Option<String> {
    let row = sample.row();
    let columns = sample.places(row, |flat| flat % row);
    let first = *columns.first()?;
    let contiguous = columns.len() == row - first && first > 0 && columns.len() <= row / 2;
    when(contiguous, || format!("only the last {} of each row of {row} are wrong", columns.len()))
}

fn channels(sample: &OperatorSample<'_>) -> Option<String> {
    let count = *sample.shape.get(1).filter(|&&count| count > 1)?;
    let inner: usize = sample.shape[2..].iter().product();
    let hit = sample.places(count, |flat| flat / inner.max(1));
    when(hit.len() <= count / 2, || {
        format!("only {} of {count} channels are wrong: {}", hit.len(), listed(&hit))
    })
}

fn packing(sample: &OperatorSample<'_>) -> Option<String> {
    let count = *sample.shape.get(1).filter(|&&count| count > 4)?;
    let inner: usize = sample.shape[2..].iter().product();
    let lanes = sample.places(4, |flat| flat / inner.max(1) % count);
    when(lanes.len() < 4, || {
        format!("only channels whose number modulo 4 is {} are wrong", listed(&lanes))
    })
}

fn border(sample: &OperatorSample<'_>) -> Option<String> {
    let [.., height, width] = *sample.shape else { return None };
    let edge = |flat: usize| {
        let (y, x) = (flat / width % height, flat % width);
        y == 0 || x == 0 || y + 1 == height || x + 1 == width
    };
    let all = height > 4 && width > 4 && sample.wrong.iter().all(|&flat| edge(flat));
    when(all, || format!("only the outermost elements of each {height}x{width} plane are wrong"))
}

fn block(sample: &OperatorSample<'_>) -> Option<String> {
    let (first, last) = (*sample.wrong.first()?, *sample.wrong.last()?);
    let span = last - first + 1;
    let inside = span * 2 <= sample.len() && sample.wrong.len() * 2 >= span;
    when(inside, || {
        format!("the wrong elements lie between {first} and {last} of {}", sample.len())
    })
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
            seen(&[24], &right, &ramp(24).iter().map(|v| v * v + 1.0).collect::<Vec<_>>(), &[1.0]),
            [""; 0]
        );
    }

    #[test]
    fn an_output_of_which_only_the_start_is_written_is_seen() {
        let right = ramp(64);
        let wrong: Vec<f32> =
            (0..64).map(|i| if i < 2 { right[i] } else { (i % 3) as f32 - 9.0 }).collect();
        assert_eq!(seen(&[64], &right, &wrong, &[1.0])[0], "only the first right");
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

    #[test]
    fn a_transposition_that_was_dropped_is_seen() {
        let right = ramp(24);
        let wrong: Vec<f32> =
            (0..24).map(|at| right[at / 12 * 12 + at % 3 * 4 + at % 12 / 3]).collect();
        assert_eq!(seen(&[2, 3, 4], &right, &wrong, &[1.0])[0], "transposed");
    }

    #[test]
    fn tiles_that_were_never_written_are_told_by_their_rows() {
        let right = vec![200.0; 200 * 4];
        let tile = |at: usize| at / 4 / 64 % 2 == 1;
        let wrong: Vec<f32> = (0..800).map(|at| if tile(at) { 0.0 } else { 200.0 }).collect();
        let tensor = |values: &[f32]| Tensor::from_f32(&[200, 4], values.to_vec()).unwrap();
        let patterns = recognize(&[], &tensor(&right), &tensor(&wrong));
        assert!(patterns[0].words.contains("rows 64 to 127 and 192 to 199 of 200"), "{patterns:?}");
    }

    #[test]
    fn a_bias_alone_is_seen() {
        let right = ramp(40);
        let wrong: Vec<f32> =
            (0..40).map(|at| if at < 20 { right[at] } else { -(at as f32 % 10.0) }).collect();
        assert_eq!(seen(&[4, 10], &right, &wrong, &[1.0])[0], "repeated rows");
    }

    #[test]
    fn another_mean_and_variance_are_seen() {
        let right: Vec<f32> = (0..64).map(|at| (at as f32 * 0.37).sin()).collect();
        let wrong: Vec<f32> = right.iter().map(|v| 0.9 * v + 0.17).collect();
        assert_eq!(seen(&[64], &right, &wrong, &[1.0])[0], "affine");
    }

    #[test]
    fn a_wrong_border_and_a_right_middle_are_no_line() {
        let is_border = |at: usize| !(20..44).contains(&at);
        let middle = |at: usize| (at as f32 * 0.37).sin();
        let right: Vec<f32> =
            (0..64).map(|at| if is_border(at) { -1.6e7 } else { middle(at) }).collect();
        let wrong: Vec<f32> =
            (0..64).map(|at| if is_border(at) { -1e5 } else { middle(at) }).collect();
        assert!(!seen(&[64], &right, &wrong, &[1.0]).contains(&"affine".to_owned()));
    }

    #[test]
    fn what_is_rounded_to_zero_is_told_before_zero() {
        assert_eq!(seen(&[4], &[1e-12; 4], &[0.0; 4], &[0.0]), ["flushed subnormals"]);
        assert_eq!(seen(&[4], &ramp(4), &[0.0; 4], &[1.0]), ["all zero"]);
    }
}
