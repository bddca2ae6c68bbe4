//! The worst element of an operator in words: what it is computed from, and which arithmetic gives the device's value.

use crate::bounds::{OddSum, ReadBox, Resummed, WorstElement};
use crate::walk::OpReport;

/// The worst element of an operator, if it is beyond its bound.
pub(super) fn worst_element(op: &OpReport) -> Option<&WorstElement> {
    let excess = op.excess.as_ref().filter(|excess| excess.excess > 1.0)?;
    excess.worst.as_ref()
}

/// What the element is, each a sentence without its full stop.
pub(super) fn element_sentences(element: &WorstElement) -> Vec<String> {
    let WorstElement { index, right, found, bound, .. } = element;
    let mut sentences = vec![format!(
        "element {index:?} is {}, and the exact result is {}; the bound of their difference is {}",
        digits(*found),
        digits(*right),
        format_args!("{bound:.1e}")
    )];
    if !element.reads.is_empty() {
        sentences.push(format!("it is computed from {}", reads(&element.reads)));
    }
    if let Some(sum) = &element.sum {
        sentences.push(origin(sum));
        sentences.push(conclusion(sum, element));
    }
    sentences
}

/// A number with 8 digits, which tell every `f32` but a few from its neighbours.
pub(super) fn digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.7e}").parse().unwrap_or(value);
    match rounded.abs() {
        0.0 | 1e-4..1e8 => format!("{rounded}"),
        _ => format!("{rounded:e}"),
    }
}

/// The inputs of the sum.
fn origin(sum: &Resummed) -> String {
    let plural = if sum.addends == 1 { "addend" } else { "addends" };
    let from = match sum.reads.is_empty() {
        true => String::new(),
        false => format!(", from {}", reads(&sum.reads)),
    };
    format!("it is the sum of {} {plural}{from}", sum.addends)
}

fn reads(boxes: &[ReadBox]) -> String {
    boxes.iter().map(read).collect::<Vec<_>>().join(" and ")
}

/// A box of an input, as numpy writes slices.
fn read(ReadBox { input, from, to }: &ReadBox) -> String {
    let range = |(from, to): (&usize, &usize)| match from == to {
        true => from.to_string(),
        false => format!("{from}:{}", to + 1),
    };
    let ranges: Vec<String> = from.iter().zip(to).map(range).collect();
    format!("input {input} at [{}]", ranges.join(", "))
}

/// What the sums in other arithmetics say.
fn conclusion(sum: &Resummed, WorstElement { right, found, bound, .. }: &WorstElement) -> String {
    if let Some(adding) = sum.explained_by(*right, *found, *bound) {
        return format!("added in {}, the same addends give the target's value", adding.words());
    }
    match (sum.odd, sum.alike(*right, *found)) {
        (Some(OddSum::Without(addend)), _) => {
            format!("without addend {addend} the sum is the target's value")
        }
        (Some(OddSum::Twice(addend)), _) => {
            format!("with addend {addend} twice the sum is the target's value")
        }
        (Some(OddSum::First(count)), _) => {
            format!("the sum of only the first {count} addends is the target's value")
        }
        (Some(OddSum::Last(count)), _) => {
            format!("the sum of only the last {count} addends is the target's value")
        }
        (None, Some(adding)) => format!(
            "added in {}, the same addends are off by about as much as the target",
            adding.words()
        ),
        (None, None) => {
            "no arithmetic that was tried gives the target's value, nor does a part of the addends"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::{Adding, SumIn};

    fn element(found: f64, odd: Option<OddSum>) -> WorstElement {
        let value = |adding: Adding| SumIn {
            adding,
            value: Some(if adding == Adding::F16 { 2048.0 } else { 4096.0 }),
        };
        let sum = Resummed {
            addends: 4096,
            reads: vec![ReadBox { input: 1, from: vec![0, 3], to: vec![63, 3] }],
            sums: Adding::ALL.map(value).into(),
            partial: Vec::new(),
            largest: Vec::new(),
            odd,
        };
        WorstElement {
            output: 0,
            index: vec![0, 3],
            right: 4096.0,
            found,
            bound: 0.5,
            reads: Vec::new(),
            sum: Some(Box::new(sum)),
        }
    }

    #[test]
    fn sentences_say_what_gives_the_value() {
        let said = element_sentences(&element(2048.0, None));
        assert_eq!(
            said[0],
            "element [0, 3] is 2048, and the exact result is 4096; the bound of their difference is 5.0e-1"
        );
        assert_eq!(said[1], "it is the sum of 4096 addends, from input 1 at [0:64, 3]");
        assert_eq!(said[2], "added in f16, in order, the same addends give the target's value");
        let reads = vec![ReadBox { input: 0, from: vec![0, 3], to: vec![0, 9] }];
        let row = WorstElement { reads, sum: None, ..element(2048.0, None) };
        assert_eq!(element_sentences(&row)[1], "it is computed from input 0 at [0, 3:10]");
        let said = element_sentences(&element(4095.0, Some(OddSum::Without(7))));
        assert_eq!(said[2], "without addend 7 the sum is the target's value");
    }
}
