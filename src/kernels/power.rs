//! `Pow`: the result has the type of the base. The exponent may have a different type.

use super::broadcast::shape_of;
use super::broadcast::spread;
use super::call::{Call, Reals, Refused};
use super::number::{Numbers, Wholes};
use crate::tensor::{Dtype, Tensor};

/// From this number on, not every whole number is an `f64`.
const EXACT: i128 = 1 << 53;

/// Raises a base to a power, place by place.
pub(super) fn power(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let shape = shape_of(call, &[0, 1])?;
    if [0, 1].iter().any(|&place| call.needed(place).is_ok_and(|t| t.dtype() == Dtype::Bool)) {
        return Err("bool is not a number".into());
    }
    let made = match Numbers::of(call, 0)? {
        Numbers::Reals(base) => {
            let exponents = real_exponents(call, &shape)?;
            let bases = spread(&base.values, &base.shape, &shape)?;
            let values = bases.iter().zip(exponents).map(|(&x, y)| libm::pow(x, y)).collect();
            Reals::new(&shape, values).into_tensor()?
        }
        Numbers::Wholes(base) => {
            let exponents = whole_exponents(call, &shape)?;
            let bases = spread(&base.values, &base.shape, &shape)?;
            let pairs = bases.iter().zip(exponents);
            let values = pairs.map(|(&x, y)| whole_power(x, y)).collect::<Result<_, _>>()?;
            Wholes { shape, values, dtype: base.dtype }.into_tensor()?
        }
    };
    Ok(vec![made])
}

fn real_exponents(call: &Call<'_>, shape: &[usize]) -> Result<Vec<f64>, Refused> {
    match Numbers::of(call, 1)? {
        Numbers::Reals(reals) => spread(&reals.values, &reals.shape, shape),
        Numbers::Wholes(wholes) => {
            // Beyond this limit, `f64` does not show whether an exponent is even.
            if wholes.values.iter().any(|value| value.abs() > EXACT) {
                return Err("an exponent is too large to be exact".into());
            }
            let values: Vec<f64> = wholes.values.iter().map(|&value| value as f64).collect();
            spread(&values, &wholes.shape, shape)
        }
    }
}

/// Exponents of integers: whole numbers of any type.
fn whole_exponents(call: &Call<'_>, shape: &[usize]) -> Result<Vec<i128>, Refused> {
    match Numbers::of(call, 1)? {
        Numbers::Wholes(wholes) => spread(&wholes.values, &wholes.shape, shape),
        Numbers::Reals(reals) => {
            let whole = |value: &f64| value.fract() == 0.0 && value.abs() <= EXACT as f64;
            if !reals.values.iter().all(whole) {
                return Err("an integer to a power that is not a whole number".into());
            }
            let values: Vec<i128> = reals.values.iter().map(|&value| value as i128).collect();
            spread(&values, &reals.shape, shape)
        }
    }
}

/// An integer to a power by repeated squaring. The result wraps.
fn whole_power(base: i128, exponent: i128) -> Result<i128, Refused> {
    if exponent < 0 {
        return Err("undefined: an integer to a negative power".into());
    }
    let (mut made, mut square, mut left) = (1_i128, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            made = made.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        left >>= 1;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::super::number::tensor_of;
    use super::*;
    use std::collections::BTreeMap;

    fn run(base: Tensor, exponent: Tensor) -> Result<Tensor, Refused> {
        let (inputs, attributes) = ([Some(base), Some(exponent)], BTreeMap::new());
        let call = Call {
            op_type: "Pow",
            opset: 15,
            attributes: &attributes,
            inputs: &inputs,
            outputs: 1,
        };
        power(&call).map(|mut made| made.remove(0))
    }

    fn vector<T: Clone>(values: &[T]) -> Tensor
    where
        Tensor: From<ndarray::ArrayD<T>>,
    {
        tensor_of(&[values.len()], values.to_vec()).unwrap()
    }

    #[test]
    fn reals_take_exponents_of_any_type() {
        let got = run(vector(&[2.0_f32, -2.0, 0.0]), vector(&[-1_i64, 3, 0])).unwrap();
        assert_eq!(got.numbers(1), [0.5, -8.0, 1.0]);
        let got =
            run(vector(&[4.0_f32, -4.0, f32::NAN, 1.0]), vector(&[0.5_f32, 0.5, 0.0, f32::NAN]));
        let got = got.unwrap().numbers(1);
        assert!(got[0] == 2.0 && got[1].is_nan() && got[2] == 1.0 && got[3] == 1.0);
        assert!(run(vector(&[-1.0_f32]), vector(&[i64::MAX])).is_err());
    }

    #[test]
    fn integers_stay_exact_and_wrap() {
        let got = run(vector(&[3_i64, 2, -2, 0]), vector(&[39_i64, 63, 3, 0])).unwrap();
        assert_eq!(got, vector(&[3_i64.pow(39), i64::MIN, -8, 1]));
        assert_eq!(run(vector(&[5_i32]), vector(&[3.0_f32])), Ok(vector(&[125])));
        assert_eq!(run(vector(&[3_i64]), vector(&[i64::MAX])).unwrap().len(), 1);
        for exponent in [0.5_f32, -1.0, f32::NAN, f32::INFINITY] {
            assert!(run(vector(&[4_i32]), vector(&[exponent])).is_err());
        }
        assert!(run(vector(&[4_i32]), vector(&[-1_i32])).is_err());
        assert!(run(vector(&[true]), vector(&[1_i32])).is_err());
        for (base, exponent) in (-9..10).flat_map(|b| (0..30).map(move |e| (b, e))) {
            let got = run(vector(&[base]), vector(&[exponent])).unwrap();
            assert_eq!(got, vector(&[i32::wrapping_pow(base, exponent as u32)]));
        }
    }
}
