//! Synthetic feeds: a spec and a resolved input become a tensor.

use super::{InputError, Random, Spec, WrittenNumber, edge, element};
use crate::graph::ResolvedInput;
use crate::tensor::{Tensor, element_count};

/// The tensor of a spec that needs neither a file nor the network.
pub(super) fn fill(spec: &Spec, input: &ResolvedInput) -> Result<Tensor, InputError> {
    let count = element_count(&input.shape).expect("a resolved input's size was checked");
    let mut bytes = Vec::with_capacity(count.saturating_mul(input.dtype.size()));
    if input.dtype.is_float() {
        let mut next = real_source(spec, input);
        for index in 0..count {
            let value = next(index);
            if !element::push_real(&mut bytes, input.dtype, value) {
                return Err(out_of_range(spec, input, &value.to_string()));
            }
        }
    } else {
        let mut next = whole_source(spec, input)?;
        for index in 0..count {
            element::push_whole(&mut bytes, input.dtype, next(index));
        }
    }
    Ok(Tensor::from_bytes(input.dtype, &input.shape, &bytes)
        .expect("one element was pushed for each index"))
}

/// The numbers of a spec over the flat index, for a float type.
fn real_source(spec: &Spec, input: &ResolvedInput) -> Box<dyn FnMut(usize) -> f64> {
    match spec {
        Spec::Arange => Box::new(|index| index as f64),
        Spec::Ones => Box::new(|_| 1.0),
        Spec::Zeros
        | Spec::Ids { .. }
        | Spec::Npy(_)
        | Spec::Pb(_)
        | Spec::Npz { .. }
        | Spec::Picture { .. } => Box::new(|_| 0.0),
        Spec::Constant(number) => {
            let value = number.value();
            Box::new(move |_| value)
        }
        // Computed in f32 throughout, as in the C++ prototype: sinf(i * 0.37f) * 2.
        Spec::Sine => Box::new(|index| f64::from(libm::sinf(index as f32 * 0.37f32) * 2.0)),
        Spec::Normal { seed } => {
            let mut random = Random::new(*seed);
            Box::new(move |_| random.normal())
        }
        Spec::Uniform { low, high, seed } => {
            let (mut random, low, high) = (Random::new(*seed), low.value(), high.value());
            Box::new(move |_| {
                let share = random.unit();
                low * (1.0 - share) + high * share
            })
        }
        Spec::Edge { seed } => pick(edge::reals(input.dtype), *seed),
    }
}

/// The numbers of a spec over the flat index, for an integer type or booleans.
fn whole_source(
    spec: &Spec,
    input: &ResolvedInput,
) -> Result<Box<dyn FnMut(usize) -> i128>, InputError> {
    let (_, largest) = element::bounds(input.dtype);
    Ok(match spec {
        Spec::Arange => Box::new(move |index| index as i128 % (largest + 1)),
        Spec::Ones => Box::new(|_| 1),
        Spec::Zeros
        | Spec::Ids { .. }
        | Spec::Npy(_)
        | Spec::Pb(_)
        | Spec::Npz { .. }
        | Spec::Picture { .. } => Box::new(|_| 0),
        Spec::Constant(number) => {
            let value = whole_within(number, 0, spec, input)?;
            Box::new(move |_| value)
        }
        Spec::Sine => {
            let problem = format!("a sine has fractions, the input is {}", input.dtype);
            return Err(unfit(spec, input, problem, "use `arange` or `uniform:LO,HI,SEED`"));
        }
        Spec::Normal { seed } => {
            let problem = format!("normal numbers have fractions, the input is {}", input.dtype);
            let remedy = format!("use `ids:{seed}`, `ones` or `uniform:LO,HI,{seed}`");
            return Err(unfit(spec, input, problem, &remedy));
        }
        Spec::Uniform { low, high, seed } => {
            let low = whole_within(low, 0, spec, input)?;
            // The end is not drawn, so it may be one beyond the type's largest value.
            let span = whole_within(high, 1, spec, input)?.abs_diff(low);
            let mut random = Random::new(*seed);
            Box::new(move |_| low + random.below(span) as i128)
        }
        Spec::Edge { seed } => pick(edge::wholes(input.dtype), *seed),
    })
}

/// Seeded picks from a list that is never empty.
fn pick<T: Copy + Default + 'static>(values: Vec<T>, seed: u64) -> Box<dyn FnMut(usize) -> T> {
    let mut random = Random::new(seed);
    Box::new(move |_| {
        let at = random.below(values.len() as u128);
        usize::try_from(at).ok().and_then(|at| values.get(at)).copied().unwrap_or_default()
    })
}

/// The number as an integer of the input's type, or at most `beyond` past the type's largest value.
fn whole_within(
    number: &WrittenNumber,
    beyond: i128,
    spec: &Spec,
    input: &ResolvedInput,
) -> Result<i128, InputError> {
    let Some(whole) = number.whole() else {
        let problem = format!("{number} is not a whole number, the input is {}", input.dtype);
        return Err(unfit(spec, input, problem, "give whole numbers"));
    };
    let (low, high) = element::bounds(input.dtype);
    if (low..=high + beyond).contains(&whole) {
        Ok(whole)
    } else {
        Err(out_of_range(spec, input, &whole.to_string()))
    }
}

fn out_of_range(spec: &Spec, input: &ResolvedInput, value: &str) -> InputError {
    let problem = format!("{value} is out of range of {}", input.dtype);
    unfit(spec, input, problem, "use smaller numbers, `sine` or `uniform:LO,HI,SEED`")
}

fn unfit(spec: &Spec, input: &ResolvedInput, problem: String, remedy: &str) -> InputError {
    InputError::Unfit {
        name: input.name.clone(),
        spec: spec.to_string(),
        problem,
        remedy: remedy.to_owned(),
    }
}
