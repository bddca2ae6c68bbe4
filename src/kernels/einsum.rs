//! Sums of products over named axes.
//!
//! One loop runs over all combinations of the axes, so the kernel is slow. An ellipsis is refused.

use super::call::Kernel;
use super::call::Reals;
use super::layout::{advance, count, flat, floats, only_reals, strides, text};
use super::{Call, Refused};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// The kernels of this file.
pub(super) const EINSUM: &[(&str, Kernel)] = &[("Einsum", einsum)];

/// The most combinations of axes that the kernel computes.
const MOST: u128 = 1 << 34;

/// The names of the axes of the inputs and of the result.
struct Equation {
    inputs: Vec<Vec<char>>,
    output: Vec<char>,
}

impl Equation {
    fn of(equation: &str) -> Result<Self, Refused> {
        let plain: String = equation.chars().filter(|char| !char.is_whitespace()).collect();
        let (left, right) = match plain.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (plain.as_str(), None),
        };
        let inputs: Vec<Vec<char>> = left.split(',').map(|term| term.chars().collect()).collect();
        let mut times = BTreeMap::new();
        for &name in inputs.iter().flatten() {
            *times.entry(name).or_insert(0) += 1;
        }
        let output: Vec<char> = match right {
            Some(right) => right.chars().collect(),
            // If the equation names no result, the result has the axes that occur once, in
            // alphabetical order.
            None => times.iter().filter(|&(_, &times)| times == 1).map(|(&name, _)| name).collect(),
        };
        let twice = (1..output.len()).any(|at| output[..at].contains(&output[at]));
        let known = output.iter().all(|name| times.contains_key(name));
        if twice || !known || !times.keys().all(char::is_ascii_alphabetic) {
            return Err(format!("the equation {equation}"));
        }
        Ok(Equation { inputs, output })
    }
}

/// The inputs, and the extent of each named axis.
fn read(
    call: &Call<'_>,
    equation: &Equation,
) -> Result<(Vec<Reals>, BTreeMap<char, usize>), Refused> {
    if equation.inputs.len() != call.inputs.len() {
        return Err(format!("{} terms for {} inputs", equation.inputs.len(), call.inputs.len()));
    }
    let mut inputs = Vec::with_capacity(call.inputs.len());
    let mut extents = BTreeMap::new();
    for (place, names) in equation.inputs.iter().enumerate() {
        let input = floats(call, place)?;
        if names.len() != input.shape.len() {
            return Err(format!("{} names for a shape {:?}", names.len(), input.shape));
        }
        for (name, &extent) in names.iter().zip(&input.shape) {
            // Engines disagree on whether an axis of 1 is repeated.
            if *extents.entry(*name).or_insert(extent) != extent {
                return Err(format!("axis {name} has two extents"));
            }
        }
        inputs.push(input);
    }
    Ok((inputs, extents))
}

fn einsum(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let equation = Equation::of(text(call, "equation", "")?)?;
    let (inputs, extents) = read(call, &equation)?;
    let shape: Vec<usize> = equation.output.iter().map(|name| extents[name]).collect();
    let mut values = vec![0.0; count(&shape)?];
    let summed = extents.keys().filter(|name| !equation.output.contains(name));
    let names: Vec<char> = equation.output.iter().chain(summed).copied().collect();
    let whole: Vec<usize> = names.iter().map(|name| extents[name]).collect();
    let combinations = whole.iter().try_fold(1u128, |all, &extent| all.checked_mul(extent as u128));
    let combinations = combinations.filter(|&all| all <= MOST).ok_or("too many combinations")?;
    let terms = equation.inputs.iter().zip(&inputs);
    let steps: Vec<Vec<usize>> =
        terms.map(|(own, input)| steps_through(&names, own, &input.shape)).collect();
    let to = steps_through(&names, &equation.output, &shape);
    let mut index = vec![0; names.len()];
    for _ in 0..combinations {
        let factors = inputs.iter().zip(&steps);
        let product: f64 =
            factors.map(|(input, steps)| input.values[flat(&index, steps)]).product();
        values[flat(&index, &to)] += product;
        advance(&mut index, &whole);
    }
    only_reals(&shape, values)
}

/// The step of each named axis through a tensor. A name that occurs twice walks a diagonal.
fn steps_through(names: &[char], own: &[char], shape: &[usize]) -> Vec<usize> {
    let strides = strides(shape);
    let step = |name: &char| {
        own.iter().zip(&strides).filter(|(other, _)| *other == name).map(|(_, step)| step).sum()
    };
    names.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Attribute;

    fn run(
        equation: &str,
        inputs: &[(&[usize], &[f32])],
    ) -> Result<(Vec<usize>, Vec<f64>), Refused> {
        let equation = Attribute::Text(equation.to_owned());
        let attributes = BTreeMap::from([("equation".to_owned(), equation)]);
        let tensor =
            |&(shape, values): &(&[usize], &[f32])| Tensor::from_f32(shape, values.to_vec()).ok();
        let inputs: Vec<Option<Tensor>> = inputs.iter().map(tensor).collect();
        let (op_type, inputs) = ("Einsum", inputs.as_slice());
        let call = Call { op_type, opset: 13, attributes: &attributes, inputs, outputs: 1 };
        einsum(&call).map(|outputs| (outputs[0].shape().to_vec(), outputs[0].numbers(1)))
    }

    const SQUARE: (&[usize], &[f32]) = (&[2, 2], &[1.0, 2.0, 3.0, 4.0]);

    #[test]
    fn axes_are_summed_kept_and_crossed() {
        let product = run("ij, jk -> ik", &[SQUARE, SQUARE]).unwrap();
        assert_eq!(product, (vec![2, 2], vec![7.0, 10.0, 15.0, 22.0]));
        assert_eq!(run("ij->ji", &[SQUARE]).unwrap().1, [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(run("ba", &[SQUARE]).unwrap().1, [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(run("ii", &[SQUARE]).unwrap(), (vec![], vec![5.0]));
        assert_eq!(run("ii->i", &[SQUARE]).unwrap().1, [1.0, 4.0]);
        assert_eq!(run("ij,jk", &[SQUARE, SQUARE]).unwrap().0, [2, 2]);
    }

    #[test]
    fn odd_equations_are_refused() {
        for equation in ["...i->i", "ij->k", "ij->ii", "i", "ij,jk->ik", "", "->", "i1"] {
            assert!(run(equation, &[SQUARE]).is_err(), "{equation}");
        }
        let row: (&[usize], &[f32]) = (&[1], &[1.0]);
        assert!(run("ij,j->i", &[SQUARE, row]).is_err());
    }
}
