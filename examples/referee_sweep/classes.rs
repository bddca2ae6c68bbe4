//! The classes of inputs: how the floating-point inputs of a network are filled.

use super::cases::{Case, feed};
use offby::inputs::{Feed, Random};
use offby::tensor::{Digest, Tensor};

/// Inputs that are parameters. They keep the test's values: other values would make a different, a huge or a
/// meaningless network. An empty list means every input.
// a flat table
const PARAMETERS: &[(&str, &[usize])] = &[
    ("BatchNormalization", &[4]),
    ("Clip", &[1, 2]),
    ("DequantizeLinear", &[1]),
    ("Dropout", &[1]),
    ("MelWeightMatrix", &[]),
    ("NonMaxSuppression", &[2, 3, 4]),
    ("OneHot", &[0, 1]),
    ("QLinearConv", &[]),
    ("QLinearMatMul", &[]),
    ("QuantizeLinear", &[1]),
    ("Range", &[]),
    ("Resize", &[1, 2]),
    ("RoiAlign", &[1]),
    ("Upsample", &[1]),
];

/// The content of the floating-point inputs. Integers and booleans always keep the test's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// The inputs that come with the network.
    Given,
    /// Standard normal numbers.
    Ordinary,
    /// Standard normal numbers times ten thousand.
    Large,
    /// Standard normal numbers divided by a million.
    Tiny,
    /// Negative numbers, down to about -60.
    Negative,
    /// Normal numbers; a tenth of them are NaN.
    Nan,
    /// Normal numbers; a tenth of them are +inf, and a tenth -inf.
    Infinite,
}

impl Class {
    /// All classes with drawn inputs.
    pub(crate) const DRAWN: [Class; 6] =
        [Class::Ordinary, Class::Large, Class::Tiny, Class::Negative, Class::Nan, Class::Infinite];

    /// The class's name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::Given => "given",
            Class::Ordinary => "ordinary",
            Class::Large => "large",
            Class::Tiny => "tiny",
            Class::Negative => "negative",
            Class::Nan => "nan",
            Class::Infinite => "infinite",
        }
    }

    fn number(self, normal: f64, chance: f64) -> f64 {
        match self {
            Class::Given | Class::Ordinary => normal,
            Class::Large => normal * 1e4,
            Class::Tiny => normal * 1e-6,
            Class::Negative => -normal.abs() * 20.0,
            Class::Nan if chance < 0.1 => f64::NAN,
            Class::Infinite if chance < 0.1 => f64::INFINITY,
            Class::Infinite if chance < 0.2 => f64::NEG_INFINITY,
            Class::Nan | Class::Infinite => normal,
        }
    }
}

/// The classes that matter for a network.
pub(crate) fn of(case: &Case) -> Vec<Class> {
    let mut classes = vec![Class::Given];
    let has_drawn = (0..case.feeds.len()).any(|place| is_drawn(case, place));
    if has_drawn {
        classes.extend(Class::DRAWN);
    }
    classes
}

/// Whether an input is drawn again for each class.
fn is_drawn(case: &Case, place: usize) -> bool {
    let Feed { name, tensor, .. } = &case.feeds[place];
    if !tensor.dtype().is_float() || tensor.is_empty() {
        return false;
    }
    let read = &case.model.node(0).inputs;
    let kept = PARAMETERS.iter().find(|(op_type, _)| *op_type == case.op_type);
    let is_parameter = |places: &[usize]| {
        places.is_empty()
            || places.iter().any(|&at| read.get(at).is_some_and(|r| r == name.as_str()))
    };
    !kept.is_some_and(|(_, places)| is_parameter(places))
}

/// The inputs of a class: the same for the same seed.
pub(crate) fn feeds(case: &Case, class: Class, seed: u64) -> Vec<Feed> {
    let one = |(place, given): (usize, &Feed)| {
        if class == Class::Given || !is_drawn(case, place) {
            return given.clone();
        }
        let name = format!("{seed} {} {place}", case.name);
        let mut random = Random::new(number_of(&Digest::of([name.as_bytes()])));
        feed(given.name.clone(), drawn(&given.tensor, class, &mut random))
    };
    case.feeds.iter().enumerate().map(one).collect()
}

fn number_of(digest: &Digest) -> u64 {
    digest.hex().get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0)
}

/// A drawn tensor with the shape and type of `like`.
fn drawn(like: &Tensor, class: Class, random: &mut Random) -> Tensor {
    let count = like.len();
    let mut numbers: Vec<f64> =
        (0..count).map(|_| class.number(random.normal(), random.unit())).collect();
    // Small tensors must also contain a value that is typical of the class.
    let is_odd = |number: &f64| !number.is_finite();
    if matches!(class, Class::Nan | Class::Infinite) && !numbers.iter().any(is_odd) {
        let at = usize::try_from(random.below(count as u128)).unwrap_or(0);
        numbers[at] =
            class.number(0.0, random.unit() * 0.2 * f64::from(u8::from(class != Class::Nan)));
    }
    match like {
        Tensor::F64(array) => {
            let mut numbers = numbers.into_iter();
            Tensor::F64(array.mapv(|_| numbers.next().unwrap_or(0.0)))
        }
        Tensor::F32(array) => {
            let mut numbers = numbers.into_iter();
            Tensor::F32(array.mapv(|_| numbers.next().unwrap_or(0.0) as f32))
        }
        other => other.clone(),
    }
}
