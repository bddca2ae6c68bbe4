//! The standard nodes that replace one node, under construction.

use super::super::network::{Attribute, attribute};
use super::super::{attributes_of, tensor_proto};
use crate::tensor::{Dtype, Tensor};
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use std::collections::BTreeMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{NodeProto, TensorProto};

/// What a node's surroundings say about its values.
pub(super) trait ValueFacts {
    /// The element type of a value, if the file says it.
    fn element(&self, value: &str) -> Option<i32>;

    /// The extents of a value; `None` for an open one. `None` in place of all if the file does not say the rank.
    fn extents(&self, value: &str) -> Option<Vec<Option<i64>>>;

    /// Whether the file says that an axis of two values has one extent, as a number or as a symbol.
    fn is_same_extent(&self, values: [&str; 2], axis: usize) -> bool;

    /// The version of ONNX's own operators.
    fn opset(&self) -> i64;
}

/// The largest number that is taken for a number of heads, rows or elements of an axis: products of several still fit
/// into 64 bits.
pub(super) const MOST: i64 = 1 << 40;

/// The standard nodes that replace one node.
pub(super) struct Replacement<'a> {
    pub(super) node: &'a NodeProto,
    pub(super) facts: &'a dyn ValueFacts,
    attributes: BTreeMap<String, Attribute>,
    /// The start of the names of all nodes and values of the piece.
    prefix: String,
    pub(super) nodes: Vec<NodeProto>,
    pub(super) constants: Vec<TensorProto>,
}

impl<'a> Replacement<'a> {
    pub(super) fn new(node: &'a NodeProto, prefix: String, facts: &'a dyn ValueFacts) -> Self {
        let attributes = attributes_of(node);
        Replacement { node, facts, attributes, prefix, nodes: Vec::new(), constants: Vec::new() }
    }

    /// The name of an input; `None` if the node has none in this place.
    pub(super) fn input(&self, place: usize) -> Option<String> {
        self.node.input.get(place).filter(|name| !name.is_empty()).cloned()
    }

    /// Whether some node may read an output.
    pub(super) fn writes(&self, place: usize) -> bool {
        self.node.output.get(place).is_some_and(|name| !name.is_empty())
    }

    /// An integer among the attributes.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attributes.get(name)?.as_int()
    }

    /// A number of heads, rows or bits among the attributes: from 1 to as many as a network can have.
    pub(super) fn count(&self, name: &str) -> Option<i64> {
        self.int(name).filter(|count| (1..=MOST).contains(count))
    }

    /// A number among the attributes.
    pub(super) fn float(&self, name: &str) -> Option<f32> {
        self.attributes.get(name)?.as_float()
    }

    /// A text among the attributes.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.as_text()
    }

    /// The attributes of these names, for a node of the piece.
    pub(super) fn kept(&self, names: &[&'static str]) -> Vec<(&'static str, Attribute)> {
        let kept =
            names.iter().filter_map(|name| Some((*name, self.attributes.get(*name)?.clone())));
        kept.collect()
    }

    /// The extent of an axis, if the file says it.
    pub(super) fn extent(&self, value: &str, axis: usize) -> Option<i64> {
        *self.facts.extents(value)?.get(axis)?
    }

    /// The number of a value's axes, if the file says it.
    pub(super) fn rank(&self, value: &str) -> Option<usize> {
        Some(self.facts.extents(value)?.len())
    }

    /// Adds a node of ONNX's own operators and returns the name of its output.
    pub(super) fn op(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let name = format!("{}/{op_type}_{}", self.prefix, self.nodes.len());
        self.push(name.clone(), op_type, inputs, vec![name.clone()], attributes);
        name
    }

    /// Adds a node with several outputs and no attributes, and returns their names.
    pub(super) fn op_of<const N: usize>(&mut self, op_type: &str, inputs: &[&str]) -> [String; N] {
        let name = format!("{}/{op_type}_{}", self.prefix, self.nodes.len());
        let outputs: [String; N] = std::array::from_fn(|place| format!("{name}.{place}"));
        self.push(name, op_type, inputs, outputs.to_vec(), &[]);
        outputs
    }

    fn push(
        &mut self,
        name: String,
        op_type: &str,
        inputs: &[&str],
        output: Vec<String>,
        attributes: &[(&str, Attribute)],
    ) {
        self.nodes.push(NodeProto {
            name,
            op_type: op_type.to_owned(),
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output,
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
            ..NodeProto::default()
        });
    }

    /// Makes a value of the piece an output of the replaced node.
    pub(super) fn give(&mut self, place: usize, value: &str) {
        let Some(output) = self.node.output.get(place).filter(|name| !name.is_empty()) else {
            return;
        };
        let written = self.nodes.iter().flat_map(|node| &node.output).any(|name| name == value);
        let value = if written { value.to_owned() } else { self.op("Identity", &[value], &[]) };
        let names =
            self.nodes.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
        names.filter(|name| **name == value).for_each(|name| name.clone_from(output));
    }

    /// A constant.
    pub(super) fn constant(&mut self, tensor: &Tensor) -> String {
        let name = format!("{}/constant_{}", self.prefix, self.constants.len());
        self.constants.push(tensor_proto::to_proto(&name, tensor));
        name
    }

    /// A constant list of integers.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        let list = ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec());
        self.constant(&Tensor::I64(list.expect("the elements fill their own shape")))
    }

    /// A constant integer without axes.
    pub(super) fn int_scalar(&mut self, value: i64) -> String {
        self.constant(&Tensor::I64(ArrayD::from_elem(IxDyn(&[]), value)))
    }

    /// A constant number without axes, of the element type of `like`; the nearest finite one if the type is narrow.
    pub(super) fn number(&mut self, value: f32, like: &str) -> String {
        let shape = IxDyn(&[]);
        let tensor = match self.facts.element(like).and_then(|code| DataType::try_from(code).ok()) {
            Some(DataType::Float16) => {
                let value = value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32());
                Tensor::F16(ArrayD::from_elem(shape, f16::from_f32(value)))
            }
            Some(DataType::Bfloat16) => {
                let value = value.clamp(bf16::MIN.to_f32(), bf16::MAX.to_f32());
                Tensor::Bf16(ArrayD::from_elem(shape, bf16::from_f32(value)))
            }
            Some(DataType::Double) => Tensor::F64(ArrayD::from_elem(shape, f64::from(value))),
            _ => Tensor::F32(ArrayD::from_elem(shape, value)),
        };
        self.constant(&tensor)
    }

    /// A value in the element type of `like`.
    pub(super) fn cast_like(&mut self, value: &str, like: &str) -> String {
        let code = self.facts.element(like).unwrap_or(DataType::Float as i32);
        self.op("Cast", &[value], &[("to", Attribute::Int(code.into()))])
    }

    /// A value in 64-bit integers.
    pub(super) fn cast_i64(&mut self, value: &str) -> String {
        self.cast(value, Dtype::I64)
    }

    /// A value in another element type.
    pub(super) fn cast(&mut self, value: &str, dtype: Dtype) -> String {
        let code = tensor_proto::code(dtype) as i64;
        self.op("Cast", &[value], &[("to", Attribute::Int(code))])
    }

    /// A value in a different shape; 0 keeps an extent, and -1 takes what is left.
    pub(super) fn reshape(&mut self, value: &str, shape: &[i64]) -> String {
        let shape = self.ints(shape);
        self.op("Reshape", &[value, &shape], &[])
    }

    /// A value with its axes in a different order.
    pub(super) fn transpose(&mut self, value: &str, order: &[i64]) -> String {
        self.op("Transpose", &[value], &[("perm", Attribute::Ints(order.to_vec()))])
    }

    /// A part of an axis.
    pub(super) fn slice(
        &mut self,
        value: &str,
        axis: i64,
        from: i64,
        to: i64,
        step: i64,
    ) -> String {
        let parts = [from, to, axis, step].map(|part| self.ints(&[part]));
        let [from, to, axis, step] = parts.each_ref().map(String::as_str);
        self.op("Slice", &[value, from, to, axis, step], &[])
    }

    /// A value with an axis of one element more.
    pub(super) fn unsqueeze(&mut self, value: &str, axis: i64) -> String {
        let axes = self.ints(&[axis]);
        self.op("Unsqueeze", &[value, &axes], &[])
    }

    /// Values one after another along an axis.
    pub(super) fn concat(&mut self, values: &[&str], axis: i64) -> String {
        self.op("Concat", values, &[("axis", Attribute::Int(axis))])
    }

    /// The extent of an axis as a list of one integer, computed in the network if the file does not say it.
    pub(super) fn extent_of(&mut self, value: &str, axis: usize) -> String {
        match self.extent(value, axis) {
            Some(extent) => self.ints(&[extent]),
            None => {
                let shape = self.op("Shape", &[value], &[]);
                self.slice(&shape, 0, axis as i64, axis as i64 + 1, 1)
            }
        }
    }

    /// 0, 1, 2, ... up to the extent of an axis.
    pub(super) fn count_to(&mut self, value: &str, axis: usize) -> String {
        let extent = self.extent_of(value, axis);
        let axes = self.ints(&[0]);
        let end = self.op("Squeeze", &[&extent, &axes], &[]);
        let (zero, one) = (self.int_scalar(0), self.int_scalar(1));
        self.op("Range", &[&zero, &end, &one], &[])
    }

    /// The mean of the last axis, which stays with one element.
    pub(super) fn mean_of_last(&mut self, value: &str) -> String {
        if self.facts.opset() < 18 {
            return self.op("ReduceMean", &[value], &[("axes", Attribute::Ints(vec![-1]))]);
        }
        let axes = self.ints(&[-1]);
        self.op("ReduceMean", &[value, &axes], &[])
    }

    /// The sum of a value and an optional other one.
    pub(super) fn plus(&mut self, value: String, addend: Option<String>) -> String {
        match addend {
            Some(addend) => self.op("Add", &[&value, &addend], &[]),
            None => value,
        }
    }
}
