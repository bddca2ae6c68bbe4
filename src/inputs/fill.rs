//! Synthetic feeds: a spec and a resolved input become a tensor.

use super::{InputError, Number, Random, Spec, edge, element};
use crate::graph::ResolvedInput;
use crate::tensor::{Tensor, element_count};

/// The tensor of a spec that needs no file.
pub(super) fn fill(spec: &Spec, input: &ResolvedInput) -> Result<Tensor, InputError> {
    let count = element_count(&input.shape).expect("a resolved input's size was checked");
    let mut bytes = Vec::with_capacity(count.saturating_mul(input.dtype.size()));
    if input.dtype.is_float() {
        let mut next = real_source(spec);
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
    Ok(Tensor::from_bytes(input.dtype, &input.shape, &bytes).expect("one element was pushed for each index"))
}

/// The numbers of a spec over the flat index, for a float type.
fn real_source(spec: &Spec) -> Box<dyn FnMut(usize) -> f64> {
    match spec {
        Spec::Arange => Box::new(|index| index as f64),
        Spec::Ones => Box::new(|_| 1.0),
        Spec::Zeros | Spec::Npy(_) | Spec::Pb(_) | Spec::Picture { .. } => Box::new(|_| 0.0),
        Spec::Constant(number) => {
            let value = number.value();
            Box::new(move |_| value)
        }
        // In f32 throughout, as the C++ prototype fed it: sinf(i * 0.37f) * 2.
        Spec::Sine => Box::new(|index| f64::from(libm::sinf(index as f32 * 0.37f32) * 2.0)),
        Spec::Normal { seed } => {
            let mut random = Random::new(*seed);
            Box::new(move |_| random.normal())
        }
        Spec::Uniform { low, high, seed } => {
            let (mut random, low, high) = (Random::new(*seed), low.value(), high.value());
            Box::new(move |_| low + (high - low) * random.unit())
        }
        Spec::Edge { seed } => panic_free_pick(edge::reals, *seed),
    }
}
