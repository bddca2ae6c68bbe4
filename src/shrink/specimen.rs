//! A network with its feeds, made smaller step by step.

use crate::graph::{Boundary, Edit, Integers, Model, ModelError, ValueName};
use crate::inputs::Feed;
use crate::tensor::Tensor;
use crate::with_array;
use ndarray::{ArrayD, Axis, Slice};
use std::collections::BTreeMap;

/// A network and its feeds.
#[derive(Debug, Clone)]
pub struct Specimen {
    /// The network.
    pub model: Model,
    /// One tensor for each input.
    pub feeds: Vec<Feed>,
}

/// A part of a specimen that has an extent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SpecimenPart {
    /// An axis of a feed.
    Feed(ValueName, usize),
    /// An axis of an initializer of floating-point numbers.
    Constant(ValueName, usize),
    /// An element of an initializer of integers, such as a shape or a size.
    Element(ValueName, usize),
    /// An integer of an attribute: the attribute's index in the model, and the integer's index in the attribute.
    Attribute(usize, usize),
}

impl Specimen {
    /// Every place with its extent.
    pub(super) fn places(&self) -> Vec<(SpecimenPart, usize)> {
        let mut places = Vec::new();
        for feed in &self.feeds {
            let axes = feed.tensor.shape().iter().enumerate();
            places.extend(axes.map(|(axis, &n)| (SpecimenPart::Feed(feed.name.clone(), axis), n)));
        }
        for (name, tensor) in self.model.initializers() {
            if let Tensor::I64(array) = &tensor {
                let elements = array.iter().enumerate();
                places.extend(elements.filter_map(|(at, &value)| {
                    Some((SpecimenPart::Element(name.clone(), at), usize::try_from(value).ok()?))
                }));
            } else {
                let axes = tensor.shape().iter().enumerate();
                places
                    .extend(axes.map(|(axis, &n)| (SpecimenPart::Constant(name.clone(), axis), n)));
            }
        }
        for (list, integers) in self.model.integers().iter().enumerate() {
            let values = integers.values.iter().enumerate();
            places.extend(values.filter_map(|(at, &value)| {
                Some((SpecimenPart::Attribute(list, at), usize::try_from(value).ok()?))
            }));
        }
        places
    }

    /// The specimen with different extents at some places. Tensors keep their first elements.
    ///
    /// # Errors
    /// If the changed file is not a usable model.
    pub(super) fn resized(
        &self,
        extents: &[(SpecimenPart, usize)],
    ) -> Result<Specimen, ModelError> {
        let mut feeds: BTreeMap<ValueName, Feed> =
            self.feeds.iter().map(|feed| (feed.name.clone(), feed.clone())).collect();
        let mut constants = self.model.initializers();
        let mut integers = self.model.integers();
        for (place, extent) in extents {
            match place {
                SpecimenPart::Feed(name, axis) => {
                    if let Some(feed) = feeds.get_mut(name) {
                        let part = first(&feed.tensor, *axis, *extent);
                        let spec = uniform(&part).unwrap_or_else(|| "cut out".to_owned());
                        *feed = refeed(feed, part, &spec);
                    }
                }
                SpecimenPart::Constant(name, axis) => {
                    constants.entry(name.clone()).and_modify(|c| *c = first(c, *axis, *extent));
                }
                SpecimenPart::Element(name, at) => {
                    if let Some(Tensor::I64(array)) = constants.get_mut(name) {
                        set(array, *at, *extent);
                    }
                }
                SpecimenPart::Attribute(list, at) => {
                    set_integer(&mut integers, *list, *at, *extent)
                }
            }
        }
        let in_order = self.feeds.iter().filter_map(|feed| feeds.remove(&feed.name)).collect();
        self.with(in_order, constants.into_iter().collect(), integers)
    }

    /// The specimen with different numbers in one feed.
    pub(super) fn refed(&self, name: &ValueName, tensor: Tensor, spec: &str) -> Specimen {
        let mut changed = self.clone();
        for feed in changed.feeds.iter_mut().filter(|feed| feed.name == *name) {
            *feed = refeed(feed, tensor.clone(), spec);
        }
        changed
    }

    /// The specimen with different numbers in one initializer.
    ///
    /// # Errors
    /// If the changed file is not a usable model.
    pub(super) fn with_constant(
        &self,
        name: &ValueName,
        tensor: Tensor,
    ) -> Result<Specimen, ModelError> {
        self.with(self.feeds.clone(), vec![(name.clone(), tensor)], Vec::new())
    }

    fn with(
        &self,
        feeds: Vec<Feed>,
        initializers: Vec<(ValueName, Tensor)>,
        integers: Vec<Integers>,
    ) -> Result<Specimen, ModelError> {
        let inputs =
            feeds.iter().map(|feed| Boundary::of(feed.name.clone(), &feed.tensor)).collect();
        let model = self.model.edited(&Edit { inputs, initializers, integers })?;
        Ok(Specimen { model, feeds })
    }
}

fn refeed(feed: &Feed, tensor: Tensor, spec: &str) -> Feed {
    Feed::new(feed.name.clone(), spec, tensor)
}

/// The first `extent` entries along an axis.
fn first(tensor: &Tensor, axis: usize, extent: usize) -> Tensor {
    with_array!(tensor, array => {
        let part = array.slice_axis(Axis(axis), Slice::from(..extent.min(array.len_of(Axis(axis)))));
        // Back in row-major order, like every tensor.
        Tensor::from(part.as_standard_layout().into_owned())
    })
}

/// The spec of a tensor that holds one value everywhere.
fn uniform(tensor: &Tensor) -> Option<String> {
    let Tensor::F32(array) = tensor else { return None };
    let first = *array.first()?;
    array.iter().all(|value| value.to_bits() == first.to_bits()).then(|| match first {
        0.0 => "zeros".to_owned(),
        1.0 => "ones".to_owned(),
        value => format!("const:{value}"),
    })
}

fn set(array: &mut ArrayD<i64>, at: usize, extent: usize) {
    if let (Some(value), Ok(extent)) = (array.iter_mut().nth(at), i64::try_from(extent)) {
        *value = extent;
    }
}

fn set_integer(integers: &mut [Integers], list: usize, at: usize, extent: usize) {
    let value = integers.get_mut(list).and_then(|list| list.values.get_mut(at));
    if let (Some(value), Ok(extent)) = (value, i64::try_from(extent)) {
        *value = extent;
    }
}
