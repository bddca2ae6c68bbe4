//! Turns declared shapes with symbols into the numbers of one run.

use super::model::Declarations;
use super::value_info::{known, known_dim};
use super::{Dim, Model, ShapeError, ValueInfo, ValueName, closest};
use crate::tensor::{Dtype, element_count};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value::{DimParam, DimValue};
use tract_onnx::pb::{GraphProto, TensorShapeProto, ValueInfoProto, type_proto};

/// The most bytes that one input may take. A hostile file must not make offby allocate without limit.
pub const LARGEST_INPUT: usize = 8 << 30;

/// An input whose every dimension is a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedInput {
    /// The input.
    pub name: ValueName,
    /// The element type.
    pub dtype: Dtype,
    /// The extent of each axis; 0 only if the user gave it.
    pub shape: Vec<usize>,
}

impl Model {
    /// Sets the inputs' open dimensions to numbers, as `--shape input=1,3,224,224` asks.
    ///
    /// If one input settles a named symbol, the symbol is settled in every declaration.
    ///
    /// # Errors
    /// When a name is unknown, a rank differs, or a number contradicts a settled number. The model
    /// is then unchanged.
    pub fn fix_shapes(
        &mut self,
        shapes: &BTreeMap<ValueName, Vec<usize>>,
    ) -> Result<(), ShapeError> {
        let mut symbols = BTreeMap::new();
        for (name, given) in shapes {
            let input = self.input_named(name)?;
            bind(input, given, &mut symbols)?;
        }
        if shapes.is_empty() {
            return Ok(());
        }
        let graph = self.graph_mut();
        let declared = Declarations { input: graph.input.clone(), output: graph.output.clone() };
        for (name, given) in shapes {
            graph
                .input
                .iter_mut()
                .filter(|value| value.name == name.as_str())
                .for_each(|value| set_shape(value, given));
        }
        settle(graph, &symbols);
        let is_empty = |(_, given): &(&ValueName, &Vec<usize>)| given.contains(&0);
        self.empty.extend(shapes.iter().filter(is_empty).map(|(name, _)| name.clone()));
        self.declared.get_or_insert_with(|| Arc::new(declared));
        self.reread_inputs();
        if let Some(written) = &mut self.written {
            Arc::make_mut(written).fix_shapes(shapes)?;
        }
        Ok(())
    }

    /// The model with the shapes that its file declares, for engines that need no numbers.
    pub fn as_declared(&self) -> Cow<'_, Model> {
        let Some(declared) = &self.declared else { return Cow::Borrowed(self) };
        let mut model = self.clone();
        model.declared = None;
        let graph = model.graph_mut();
        graph.input.clone_from(&declared.input);
        graph.output.clone_from(&declared.output);
        model.reread_inputs();
        if let Some(written) = &mut model.written {
            *written = Arc::new(written.as_declared().into_owned());
        }
        Cow::Owned(model)
    }

    /// The inputs with numbers for every dimension.
    ///
    /// # Errors
    /// When a dimension is still open; the hint has the `--shape` to use. When an input has no
    /// elements and the user did not ask for that. When an input has more bytes than
    /// [`LARGEST_INPUT`].
    pub fn resolved_inputs(&self) -> Result<Vec<ResolvedInput>, ShapeError> {
        let resolved: Result<_, _> =
            self.inputs().iter().map(|input| self.resolve(input)).collect();
        resolved.map_err(|error| match error {
            ShapeError::Open { name, axis, declared, .. } => {
                ShapeError::Open { name, axis, declared, examples: self.examples() }
            }
            other => other,
        })
    }

    /// Example shapes for all inputs with open dimensions. A symbol has the same number in all of them.
    fn examples(&self) -> Vec<(ValueName, String)> {
        let mut symbols = BTreeMap::new();
        let mut all = Vec::new();
        for input in self.inputs() {
            let dims = input.shape.as_deref().unwrap_or_default();
            if dims.iter().any(|dim| matches!(dim, Dim::Symbol(_))) {
                all.push((input.name.clone(), example(dims, &mut symbols)));
            }
        }
        all
    }

    /// A declared extent of 0 may mean an open batch, so only the user can ask for 0.
    fn resolve(&self, input: &ValueInfo) -> Result<ResolvedInput, ShapeError> {
        let name = input.name.clone();
        let dims = input.shape.as_ref().ok_or_else(|| ShapeError::NoRank { name: name.clone() })?;
        let mut shape = Vec::with_capacity(dims.len());
        for (axis, dim) in dims.iter().enumerate() {
            let Dim::Known(extent) = dim else {
                let (declared, examples) = (text(dims), Vec::new());
                return Err(ShapeError::Open { name, axis, declared, examples });
            };
            shape.push(*extent);
        }
        match element_count(&shape).and_then(|count| count.checked_mul(input.dtype.size())) {
            Some(0) if !self.empty.contains(&name) => Err(ShapeError::NoElements { name, shape }),
            Some(bytes) if bytes <= LARGEST_INPUT => {
                Ok(ResolvedInput { name, dtype: input.dtype, shape })
            }
            _ => Err(ShapeError::TooLarge { name, shape }),
        }
    }

    fn input_named(&self, name: &ValueName) -> Result<&ValueInfo, ShapeError> {
        self.inputs().iter().find(|input| input.name == *name).ok_or_else(|| {
            let known: Vec<ValueName> =
                self.inputs().iter().map(|input| input.name.clone()).collect();
            let closest =
                closest(name.as_str(), known.iter().map(ValueName::as_str)).map(ValueName::from);
            ShapeError::UnknownInput { name: name.clone(), closest, known }
        })
    }
}

/// Checks a given shape against the declared shape and records the numbers of named symbols.
fn bind(
    input: &ValueInfo,
    given: &[usize],
    symbols: &mut BTreeMap<String, usize>,
) -> Result<(), ShapeError> {
    let name = input.name.clone();
    let Some(dims) = &input.shape else { return Ok(()) };
    if dims.len() != given.len() {
        return Err(ShapeError::Rank { name, given: given.to_vec(), declared: text(dims) });
    }
    for (axis, (dim, &given)) in dims.iter().zip(given).enumerate() {
        let settled = match dim {
            // Some old exporters wrote an open batch as zero.
            Dim::Known(0) => given,
            Dim::Known(extent) => *extent,
            Dim::Symbol(symbol) if symbol == "?" => given,
            Dim::Symbol(symbol) => *symbols.entry(symbol.clone()).or_insert(given),
        };
        if settled != given {
            return Err(ShapeError::Contradiction { name, axis, given, settled });
        }
    }
    Ok(())
}

fn shape_mut(value: &mut ValueInfoProto) -> Option<&mut Option<TensorShapeProto>> {
    match value.r#type.as_mut()?.value.as_mut()? {
        type_proto::Value::TensorType(tensor) => Some(&mut tensor.shape),
    }
}

fn set_shape(value: &mut ValueInfoProto, given: &[usize]) {
    if let Some(shape) = shape_mut(value) {
        *shape = Some(known(given));
    }
}

/// Writes the settled symbols into every declaration of the graph and its subgraphs. An expression such as
/// `(height+1)/2` stays open: the engine computes it, because engines read such texts in different ways.
fn settle(graph: &mut GraphProto, symbols: &BTreeMap<String, usize>) {
    let inputs = graph.input.iter_mut().filter_map(shape_mut);
    inputs.flatten().for_each(|shape| settle_shape(shape, symbols));
    for value in graph.output.iter_mut().chain(&mut graph.value_info) {
        if let Some(shape) = shape_mut(value) {
            shape.iter_mut().for_each(|shape| settle_shape(shape, symbols));
            let is_open = |dim: &Dimension| !matches!(dim.value, Some(DimValue(0..)));
            if shape.as_ref().is_some_and(|shape| shape.dim.iter().any(is_open)) {
                *shape = None;
            }
        }
    }
    graph.value_info.retain_mut(|value| shape_mut(value).is_some_and(|shape| shape.is_some()));
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    for inner in
        attributes.flat_map(|attribute| attribute.g.iter_mut().chain(&mut attribute.graphs))
    {
        settle(inner, symbols);
    }
}

fn settle_shape(shape: &mut TensorShapeProto, symbols: &BTreeMap<String, usize>) {
    for dim in &mut shape.dim {
        if let Some(DimParam(symbol)) = &dim.value
            && let Some(&extent) = symbols.get(symbol)
        {
            *dim = known_dim(extent);
        }
    }
}

/// A declared shape as people write it: `Nx3x224x224`.
fn text(dims: &[Dim]) -> String {
    if dims.is_empty() {
        return "scalar".to_owned();
    }
    dims.iter().map(Dim::to_string).collect::<Vec<_>>().join("x")
}

/// The declared shape with plausible numbers for its symbols: 1 for the batch, 224 for image sides.
fn example(dims: &[Dim], symbols: &mut BTreeMap<String, usize>) -> String {
    let plausible = |(axis, dim): (usize, &Dim)| {
        let usual = match axis {
            0 => 1,
            1 if dims.len() == 4 => 3,
            _ if dims.len() == 4 => 224,
            _ => 16,
        };
        match dim {
            Dim::Known(extent) => *extent,
            Dim::Symbol(symbol) if symbol == "?" => usual,
            Dim::Symbol(symbol) => *symbols.entry(symbol.clone()).or_insert(usual),
        }
        .to_string()
    };
    dims.iter().enumerate().map(plausible).collect::<Vec<_>>().join(",")
}
