//! Operators of several tensors that compute each element by itself, with numpy's broadcasting.
//!
//! Integers are computed exactly and wrap in their own type.

use super::broadcast::{shape_of, spread};
use super::call::{Call, Kernel, Reals, Refused};
use super::number::{Numbers, Wholes, flag, tensor_of};
use super::sum::{greater, smaller, sum};
use super::{cast, power};
use crate::tensor::{Dtype, Tensor};

/// The outputs of an operator, or the reason why they are refused.
type Made = Result<Vec<Tensor>, Refused>;

/// The kernels of this file, and `Cast` and `Pow`.
pub(super) const BINARY: &[(&str, Kernel)] = &[
    ("Add", |call| arithmetic(call, |a, b| a + b, |a, b| Ok(a.wrapping_add(b)))),
    ("Sub", |call| arithmetic(call, |a, b| a - b, |a, b| Ok(a.wrapping_sub(b)))),
    ("Mul", |call| arithmetic(call, |a, b| a * b, |a, b| Ok(a.wrapping_mul(b)))),
    ("Div", |call| arithmetic(call, |a, b| a / b, |a, b| Ok(a / divisor(b)?))),
    ("Mod", modulo),
    ("Pow", power::power),
    ("Max", |call| folded(call, |column| reduce(column, greater), Some(|a, b| a.max(b)))),
    ("Min", |call| folded(call, |column| reduce(column, smaller), Some(|a, b| a.min(b)))),
    ("Sum", |call| folded(call, |column| sum(column.iter().copied()), None)),
    ("Mean", |call| folded(call, mean, None)),
    ("Equal", |call| compared(call, true, |a, b| a == b, |a, b| a == b)),
    ("Greater", |call| compared(call, false, |a, b| a > b, |a, b| a > b)),
    ("GreaterOrEqual", |call| compared(call, false, |a, b| a >= b, |a, b| a >= b)),
    ("Less", |call| compared(call, false, |a, b| a < b, |a, b| a < b)),
    ("LessOrEqual", |call| compared(call, false, |a, b| a <= b, |a, b| a <= b)),
    ("And", |call| bits(call, true, |a, b| a & b)),
    ("Or", |call| bits(call, true, |a, b| a | b)),
    ("Xor", |call| bits(call, true, |a, b| a ^ b)),
    ("BitwiseAnd", |call| bits(call, false, |a, b| a & b)),
    ("BitwiseOr", |call| bits(call, false, |a, b| a | b)),
    ("BitwiseXor", |call| bits(call, false, |a, b| a ^ b)),
    ("Where", choose),
    ("Cast", cast::cast),
];

/// Operands of one kind, all broadcast to their common shape.
enum Operands {
    Reals(Vec<Vec<f64>>),
    Wholes(Vec<Vec<i128>>, Dtype),
}

/// Some inputs, all floating-point or all of one integer type, broadcast to a shape.
fn operands(call: &Call<'_>, places: &[usize], shape: &[usize]) -> Result<Operands, Refused> {
    let (mut reals, mut wholes, mut dtypes) = (Vec::new(), Vec::new(), Vec::new());
    for &place in places {
        match Numbers::of(call, place)? {
            Numbers::Reals(one) => reals.push(spread(&one.values, &one.shape, shape)?),
            Numbers::Wholes(one) => {
                dtypes.push(one.dtype);
                wholes.push(spread(&one.values, &one.shape, shape)?);
            }
        }
    }
    match dtypes.first() {
        None if !reals.is_empty() => Ok(Operands::Reals(reals)),
        Some(&dtype) if reals.is_empty() && dtypes.iter().all(|&other| other == dtype) => {
            Ok(Operands::Wholes(wholes, dtype))
        }
        _ => Err("the inputs are not of one type".into()),
    }
}

/// The two operands of an operator, and their common shape.
fn pair(call: &Call<'_>) -> Result<(Vec<usize>, Operands), Refused> {
    let shape = shape_of(call, &[0, 1])?;
    let operands = operands(call, &[0, 1], &shape)?;
    Ok((shape, operands))
}

/// Pairs of the elements of two columns.
fn zipped<T: Copy>(columns: &[Vec<T>]) -> impl Iterator<Item = (T, T)> {
    columns[0].iter().copied().zip(columns[1].iter().copied())
}

fn arithmetic(
    call: &Call<'_>,
    real: impl Fn(f64, f64) -> f64,
    whole: impl Fn(i128, i128) -> Result<i128, Refused>,
) -> Made {
    let (shape, operands) = pair(call)?;
    Ok(vec![match operands {
        Operands::Reals(columns) => {
            let values = zipped(&columns).map(|(a, b)| real(a, b)).collect();
            Reals::new(&shape, values).into_tensor()?
        }
        Operands::Wholes(_, Dtype::Bool) => return Err("bool is not a number".into()),
        Operands::Wholes(columns, dtype) => {
            let values = zipped(&columns).map(|(a, b)| whole(a, b)).collect::<Result<_, _>>()?;
            Wholes { shape, values, dtype }.into_tensor()?
        }
    }])
}

/// The divisor of an integer division: not 0.
fn divisor(number: i128) -> Result<i128, Refused> {
    if number == 0 { Err("undefined: an integer divided by 0".into()) } else { Ok(number) }
}

fn modulo(call: &Call<'_>) -> Made {
    if flag(call, "fmod", false)? {
        return arithmetic(call, |a, b| a % b, |a, b| Ok(a % divisor(b)?));
    }
    if call.needed(0)?.dtype().is_float() {
        return Err("Mod of floating-point elements wants fmod".into());
    }
    // The remainder takes the sign of the divisor, as Python's does.
    arithmetic(
        call,
        |a, _| a,
        |a, b| {
            let rest = a % divisor(b)?;
            Ok(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        },
    )
}

fn compared(
    call: &Call<'_>,
    bools: bool,
    real: impl Fn(f64, f64) -> bool,
    whole: impl Fn(i128, i128) -> bool,
) -> Made {
    let (shape, operands) = pair(call)?;
    let values = match operands {
        Operands::Reals(columns) => zipped(&columns).map(|(a, b)| real(a, b)).collect(),
        Operands::Wholes(_, Dtype::Bool) if !bools => return Err("bool has no order".into()),
        Operands::Wholes(columns, _) => zipped(&columns).map(|(a, b)| whole(a, b)).collect(),
    };
    Ok(vec![tensor_of(&shape, values)?])
}

/// Joins bits, of `bool` alone or of integers alone.
fn bits(call: &Call<'_>, bools: bool, join: impl Fn(i128, i128) -> i128) -> Made {
    let (shape, operands) = pair(call)?;
    match operands {
        Operands::Wholes(columns, dtype) if bools == (dtype == Dtype::Bool) => {
            let values = zipped(&columns).map(|(a, b)| join(a, b)).collect();
            Ok(vec![Wholes { shape, values, dtype }.into_tensor()?])
        }
        _ => Err(format!("{} does not join bits of this type", call.op_type)),
    }
}

/// Folds any number of operands at each place.
fn folded(
    call: &Call<'_>,
    real: impl Fn(&[f64]) -> f64,
    whole: Option<fn(i128, i128) -> i128>,
) -> Made {
    let places: Vec<usize> = (0..call.inputs.len()).collect();
    let shape = shape_of(call, &places)?;
    Ok(vec![match (operands(call, &places, &shape)?, whole) {
        (Operands::Reals(columns), _) => {
            let count = columns.first().map_or(0, Vec::len);
            let column = |place: usize| columns.iter().map(move |column| column[place]);
            let values = (0..count).map(|place| real(&column(place).collect::<Vec<_>>()));
            Reals::new(&shape, values.collect()).into_tensor()?
        }
        (Operands::Wholes(columns, dtype), Some(whole)) if dtype != Dtype::Bool => {
            let mut columns = columns.into_iter();
            let mut values = columns.next().unwrap_or_default();
            for column in columns {
                let pairs = values.iter_mut().zip(column);
                pairs.for_each(|(value, other)| *value = whole(*value, other));
            }
            Wholes { shape, values, dtype }.into_tensor()?
        }
        _ => return Err(format!("{} does not take this type", call.op_type)),
    }])
}

fn reduce(column: &[f64], pick: fn(f64, f64) -> f64) -> f64 {
    column.iter().copied().reduce(pick).unwrap_or(f64::NAN)
}

fn mean(column: &[f64]) -> f64 {
    sum(column.iter().copied()) / column.len() as f64
}

fn choose(call: &Call<'_>) -> Made {
    let Tensor::Bool(condition) = call.needed(0)? else {
        return Err("the condition is not bool".into());
    };
    let shape = shape_of(call, &[0, 1, 2])?;
    let condition: Vec<bool> = condition.iter().copied().collect();
    let condition = spread(&condition, call.needed(0)?.shape(), &shape)?;
    Ok(vec![match operands(call, &[1, 2], &shape)? {
        Operands::Reals(columns) => {
            Reals::new(&shape, chosen(&condition, &columns)).into_tensor()?
        }
        Operands::Wholes(columns, dtype) => {
            Wholes { values: chosen(&condition, &columns), shape, dtype }.into_tensor()?
        }
    }])
}

fn chosen<T: Copy>(condition: &[bool], columns: &[Vec<T>]) -> Vec<T> {
    let pairs = condition.iter().zip(zipped(columns));
    pairs.map(|(&first, (a, b))| if first { a } else { b }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn run(op_type: &str, given: &[(&str, i64)], inputs: &[Tensor]) -> Made {
        let attributes: BTreeMap<_, _> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Attribute::Int(*value)))
            .collect();
        let inputs: Vec<_> = inputs.iter().cloned().map(Some).collect();
        let call =
            Call { op_type, opset: 18, attributes: &attributes, inputs: &inputs, outputs: 1 };
        BINARY.iter().find(|(name, _)| *name == op_type).unwrap().1(&call)
    }

    fn vector<T: Clone>(values: &[T]) -> Tensor
    where
        Tensor: From<ndarray::ArrayD<T>>,
    {
        tensor_of(&[values.len()], values.to_vec()).unwrap()
    }

    fn two<T: Clone>(op_type: &str, a: &[T], b: &[T]) -> Result<Tensor, Refused>
    where
        Tensor: From<ndarray::ArrayD<T>>,
    {
        run(op_type, &[], &[vector(a), vector(b)]).map(|mut made| made.remove(0))
    }

    #[test]
    fn integers_wrap_in_their_own_type() {
        assert_eq!(two("Add", &[i8::MAX, -1], &[1, 1]), Ok(vector(&[i8::MIN, 0])));
        assert_eq!(two("Sub", &[0_u32], &[1]), Ok(vector(&[u32::MAX])));
        assert_eq!(
            two("Mul", &[i64::MAX, u32::MAX.into()], &[i64::MAX, 2]),
            Ok(vector(&[1_i64, 8_589_934_590]))
        );
        assert_eq!(two("Mul", &[u64::MAX], &[u64::MAX]), Ok(vector(&[1_u64])));
        assert_eq!(
            two("Div", &[-7_i32, 7, i32::MIN], &[2, -2, -1]),
            Ok(vector(&[-3, -3, i32::MIN]))
        );
        assert!(two("Div", &[1_i32], &[0]).is_err() && two("Mod", &[1_i32], &[0]).is_err());
        assert!(two("Add", &[true], &[true]).is_err());
        assert!(run("Add", &[], &[vector(&[1_i32]), vector(&[1_i64])]).is_err());
        assert!(run("Add", &[], &[vector(&[1_i32]), vector(&[1.0_f32])]).is_err());
    }

    #[test]
    fn integer_arithmetic_is_that_of_the_type() {
        for a in i8::MIN..=i8::MAX {
            let others: Vec<i8> = (i8::MIN..=i8::MAX).filter(|&b| b != 0).collect();
            let same = vec![a; others.len()];
            let each = |f: fn(i8, i8) -> i8| {
                Ok(vector(&others.iter().map(|&b| f(a, b)).collect::<Vec<_>>()))
            };
            assert_eq!(two("Add", &same, &others), each(i8::wrapping_add));
            assert_eq!(two("Mul", &same, &others), each(i8::wrapping_mul));
            assert_eq!(two("Div", &same, &others), each(i8::wrapping_div));
            assert_eq!(two("Max", &same, &others), each(i8::max));
            assert_eq!(two("BitwiseXor", &same, &others), each(|a, b| a ^ b));
            let python = |a: i8, b: i8| {
                let (a, b) = (i32::from(a), i32::from(b));
                (a - (f64::from(a) / f64::from(b)).floor() as i32 * b) as i8
            };
            assert_eq!(two("Mod", &same, &others), each(python));
            let made = run("Mod", &[("fmod", 1)], &[vector(&same), vector(&others)]).unwrap();
            assert_eq!(Ok(made[0].clone()), each(i8::wrapping_rem));
        }
    }

    #[test]
    fn operands_broadcast() {
        let column = tensor_of(&[2, 1], vec![10.0_f32, 20.0]).unwrap();
        let made = run("Add", &[], &[column.clone(), vector(&[1.0_f32, 2.0, 3.0])]).unwrap();
        assert_eq!(made[0].shape(), [2, 3]);
        assert_eq!(made[0].numbers(1), [11.0, 12.0, 13.0, 21.0, 22.0, 23.0]);
        let made =
            run("Sum", &[], &[column, vector(&[1.0_f32]), tensor_of(&[], vec![5.0_f32]).unwrap()]);
        assert_eq!(made.unwrap()[0].numbers(1), [16.0, 26.0]);
        assert!(two("Add", &[1.0_f32, 2.0], &[1.0, 2.0, 3.0]).is_err());
        let wide = tensor_of(&[1 << 20, 1], vec![0_u8; 1 << 20]).unwrap();
        assert!(run("Add", &[], &[wide, vector(&vec![0_u8; 1 << 20])]).is_err());
        let none = tensor_of(&[0, 1], Vec::<f32>::new()).unwrap();
        assert_eq!(run("Mul", &[], &[none, vector(&[1.0_f32; 4])]).unwrap()[0].shape(), [0, 4]);
    }

    #[test]
    fn broadcasting_before_opset_7_is_refused() {
        let inputs = [Some(vector(&[1.0_f32, 2.0])), Some(vector(&[1.0_f32]))];
        let attributes = BTreeMap::new();
        let call = |opset| Call {
            op_type: "Add",
            opset,
            attributes: &attributes,
            inputs: &inputs,
            outputs: 1,
        };
        assert!(pair(&call(6)).is_err() && pair(&call(7)).is_ok());
    }

    #[test]
    fn extremes_propagate_nan() {
        let got = two("Max", &[f32::NAN, 1.0, 2.0], &[1.0, f32::NAN, 3.0]).unwrap().numbers(1);
        assert!(got[0].is_nan() && got[1].is_nan() && got[2] == 3.0);
        let got = two("Min", &[f32::NAN, 1.0, 2.0], &[1.0, f32::NAN, 3.0]).unwrap().numbers(1);
        assert!(got[0].is_nan() && got[1].is_nan() && got[2] == 2.0);
        assert_eq!(two("Max", &[u64::MAX], &[0]), Ok(vector(&[u64::MAX])));
        assert_eq!(two("Mean", &[1.0_f32], &[4.0]).unwrap().numbers(1), [2.5]);
        assert!(run("Max", &[], &[]).is_err() && two("Sum", &[1_i32], &[1]).is_err());
    }

    #[test]
    fn comparisons_and_logic() {
        let (a, b) = ([1.0, f32::NAN, 3.0], [1.0, f32::NAN, 2.0]);
        assert_eq!(two("Equal", &a, &b), Ok(vector(&[true, false, false])));
        assert_eq!(two("Greater", &a, &b), Ok(vector(&[false, false, true])));
        assert_eq!(two("GreaterOrEqual", &a, &b), Ok(vector(&[true, false, true])));
        assert_eq!(two("Less", &a, &b), Ok(vector(&[false, false, false])));
        assert_eq!(two("LessOrEqual", &a, &b), Ok(vector(&[true, false, false])));
        assert_eq!(two("Equal", &[i64::MAX], &[i64::MAX - 1]), Ok(vector(&[false])));
        let (p, q) = ([true, true, false, false], [true, false, true, false]);
        assert_eq!(two("And", &p, &q), Ok(vector(&[true, false, false, false])));
        assert_eq!(two("Or", &p, &q), Ok(vector(&[true, true, true, false])));
        assert_eq!(two("Xor", &p, &q), Ok(vector(&[false, true, true, false])));
        assert_eq!(two("Equal", &p, &q), Ok(vector(&[true, false, false, true])));
        assert!(two("Less", &p, &q).is_err() && two("BitwiseAnd", &p, &q).is_err());
        assert!(two("And", &[1_u8], &[1]).is_err() && two("BitwiseOr", &a, &b).is_err());
    }

    #[test]
    fn choices_broadcast_and_keep_their_type() {
        let condition = tensor_of(&[2, 1], vec![true, false]).unwrap();
        let made =
            run("Where", &[], &[condition.clone(), vector(&[1_i64, 2]), vector(&[i64::MAX])])
                .unwrap();
        assert_eq!(made[0], tensor_of(&[2, 2], vec![1, 2, i64::MAX, i64::MAX]).unwrap());
        let made = run("Where", &[], &[condition, vector(&[true]), vector(&[false])]).unwrap();
        assert_eq!(made[0], tensor_of(&[2, 1], vec![true, false]).unwrap());
        let numbers = vector(&[1.0_f32]);
        assert!(run("Where", &[], &[numbers.clone(), numbers.clone(), numbers]).is_err());
    }

    #[test]
    fn remainders_of_reals_want_fmod() {
        let inputs = [vector(&[-7.5_f32, 7.5]), vector(&[2.0_f32, -2.0])];
        assert_eq!(run("Mod", &[("fmod", 1)], &inputs).unwrap()[0].numbers(1), [-1.5, 1.5]);
        assert!(run("Mod", &[], &inputs).is_err() && run("Mod", &[("fmod", 2)], &inputs).is_err());
    }

    #[test]
    fn nothing_panics() {
        let tensors = [
            vector::<f32>(&[]),
            vector(&[true, false]),
            vector(&[1_u64]),
            vector(&[i8::MIN]),
            vector(&[f64::NAN]),
        ];
        for (name, _) in BINARY {
            for a in &tensors {
                let _ = run(name, &[], std::slice::from_ref(a));
                for b in &tensors {
                    let _ = run(name, &[("to", 7)], &[a.clone(), b.clone()]);
                    let _ = run(name, &[], &[vector(&[true]), a.clone(), b.clone()]);
                }
            }
        }
    }
}
