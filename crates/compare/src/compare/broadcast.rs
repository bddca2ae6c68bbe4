//! Detects an operand that a binary operator read at the wrong positions. For sums and products, the values that the
//! operator read follow from the output and the other operand.

use super::sample::OperatorSample;

/// Number of channels packed together.
const PACK: usize = 4;
/// At most one element in this many may not fit.
const FITTING: usize = 10;

/// How an operand follows from an output and the other operand.
const INVERSES: [fn(f32, f32) -> f32; 2] =
    [|output, input| output - input, |output, input| output / input];

/// An operand, derived from an output and the other operand: its right values, and the values that were read.
struct Operand<'s> {
    sample: &'s OperatorSample<'s>,
    input: &'s [f32],
    inverse: fn(f32, f32) -> f32,
}

impl Operand<'_> {
    fn right(&self, at: usize) -> f32 {
        (self.inverse)(self.sample.reference[at], self.input[at])
    }

    fn read(&self, at: usize) -> f32 {
        (self.inverse)(self.sample.candidate[at], self.input[at])
    }

    /// Whether the operand was read as `expected` at this position, up to 16-bit rounding of the stored values.
    fn is(&self, at: usize, expected: f32) -> bool {
        let stored = self.sample.candidate[at].abs().max(self.input[at].abs());
        let size = expected.abs().max((self.inverse)(stored, 1.0).abs());
        (self.read(at) - expected).abs() <= 2e-3 * size
    }

    /// Whether nearly all positions hold the expected value, and the expected values vary.
    fn fits(&self, count: usize, expected: impl Fn(usize) -> f32) -> bool {
        let fitting = (0..count).filter(|&at| self.is(at, expected(at))).count();
        let first = expected(0);
        let varies = (0..count).filter(|&at| !close(expected(at), first)).count();
        count >= PACK && FITTING * (count - fitting) <= count && FITTING * varies >= count
    }
}

fn close(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-2 * a.abs().max(b.abs())
}

/// Reports an operand that was read as if it were packed by 4, one number, or one row.
pub(super) fn wrong(sample: &OperatorSample<'_>) -> Option<String> {
    let same =
        sample.inputs.iter().enumerate().filter(|(_, input)| input.len() == sample.reference.len());
    let operands = same.flat_map(|(number, input)| {
        INVERSES.map(|inverse| (number, Operand { sample, input, inverse }))
    });
    operands.into_iter().find_map(|(number, operand)| {
        let how = read_how(&operand)?;
        Some(format!("what input {number} is put together with is {how}"))
    })
}

fn read_how(operand: &Operand<'_>) -> Option<&'static str> {
    let len = operand.sample.reference.len();
    let row = operand.sample.shape.last().copied().unwrap_or(1);
    // Values after the operand's end are ignored, because they may be anything.
    let packed = (0..len / PACK).take_while(|at| operand.read(*at) != 0.0 || *at == 0).count();
    let first = operand.read(0);
    let constant = (0..len).all(|at| operand.is(at, first));
    let varies = (0..len).filter(|&at| !close(operand.right(at), first)).count();
    if constant && first.is_finite() && FITTING * varies >= len {
        Some("one number everywhere, its first: it was taken for a scalar")
    } else if operand.fits(packed, |at| operand.right(PACK * at)) {
        Some("read as if it were packed by 4: element i is its element 4i")
    } else if row > 1 && row < len && operand.fits(len, |at| operand.right(at % row)) {
        Some("its first row again and again")
    } else {
        None
    }
}

/// Reports an input that equals at least half of the wrong elements, as if the operator had been skipped.
pub(super) fn missing(sample: &OperatorSample<'_>) -> Option<String> {
    let untouched = |input: &&[f32]| {
        let same = |&&at: &&usize| input.get(at) == Some(&sample.candidate[at]);
        sample.wrong.iter().filter(same).count()
    };
    let (number, count) =
        sample.inputs.iter().map(untouched).enumerate().max_by_key(|(_, n)| *n)?;
    (count > 1 && 2 * count >= sample.wrong.len()).then(|| {
        format!("{count} of {} wrong elements equal input {number}, as if no second operand had been applied", sample.wrong.len())
    })
}

#[cfg(test)]
mod tests {
    use crate::compare::recognize;
    use crate::tensor::Tensor;

    const SHAPE: [usize; 3] = [2, 8, 8];

    fn seen(read: impl Fn(usize, &[f32]) -> f32, put: fn(f32, f32) -> f32) -> (String, String) {
        let input: Vec<f32> = (0..128).map(|at| 1.0 + (at as f32 * 0.7).sin() / 3.0).collect();
        let operand: Vec<f32> = (0..64).map(|at| 2.0 + (at as f32 * 1.3).cos()).collect();
        let tensor = |values: Vec<f32>| Tensor::from_f32(&SHAPE, values).unwrap();
        let right = (0..128).map(|at| put(input[at], operand[at % 64])).collect();
        let wrong = (0..128).map(|at| put(input[at], read(at, &operand))).collect();
        let found = recognize(&[&tensor(input)], &tensor(right), &tensor(wrong));
        found.first().map(|p| (p.name.clone(), p.words.clone())).unwrap_or_default()
    }

    #[test]
    fn an_operand_read_otherwise_is_seen_in_sums_and_products() {
        for put in [|a, b| a + b, |a: f32, b: f32| a * b] {
            type Rule = fn(usize, &[f32]) -> f32;
            let cases: [(Rule, &str); 3] = [
                (|at, b| b.get(4 * at).copied().unwrap_or(0.0), "packed by 4"),
                (|_, b| b[0], "scalar"),
                (|at, b| b[at % 8], "first row"),
            ];
            for (read, words) in cases {
                let (name, said) = seen(read, put);
                assert_eq!(name, "wrong broadcast", "{words}: {said}");
                assert!(said.contains(words), "{said}");
            }
        }
    }

    #[test]
    fn an_operand_that_is_left_out_is_seen() {
        let (name, words) = seen(|at, b| if at < 40 { b[at % 64] } else { 0.0 }, |a, b| a + b);
        assert_eq!(name, "operand missing", "{words}");
    }

    #[test]
    fn another_error_is_no_broadcast() {
        let (name, _) = seen(|at, b| b[at % 64] + (at as f32 * 2.1).sin(), |a, b| a + b);
        assert!(!["wrong broadcast", "operand missing"].contains(&name.as_str()), "{name}");
    }
}
