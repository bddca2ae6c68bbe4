//! Births: the nodes, feeds and constants that first make the reference itself NaN or infinite.
//!
//! An infinity may be intended, such as a mask that a Softmax turns to zeros. So the report names only the births
//! whose non-finite values reach an output. One step-by-step run of the reference finds them.

use super::contract::{Executed, Operand, OperatorReference};
use super::follow::Follow;
use super::node_reference::{anatomy, operators};
use super::nonfinite::{NonfiniteCase, NonfiniteFinding, count};
use super::rounding_floor::StorageCensus;
use super::trace::Trace;
use crate::engine::{NodeSteps, Output};
use crate::inputs::Feed;
use crate::tensor::{Dtype, Format, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An origin of non-finite values in the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Birth {
    /// A node computes them from finite inputs, or NaN from infinities.
    Node {
        /// The node's type.
        op_type: String,
        /// The node, the number of elements, and the cause.
        found: NonfiniteFinding,
        /// Whether the node's inputs are finite.
        of_finite: bool,
    },
    /// A feed contains them.
    Feed {
        /// The input's name.
        name: String,
        /// The number of NaN elements.
        nan: u64,
        /// The number of infinite elements.
        inf: u64,
    },
    /// A constant of the file contains them.
    Constant {
        /// The constant's name.
        name: String,
        /// The number of NaN elements.
        nan: u64,
        /// The number of infinite elements.
        inf: u64,
    },
}

impl Birth {
    /// The birth in words.
    pub fn words(&self) -> String {
        match self {
            Birth::Node { op_type, found, of_finite } => {
                let inputs = if *of_finite { "finite inputs" } else { "infinities" };
                let (op, count, words) = (&found.op, found.count(), found.words());
                format!("`{op}` ({op_type}) makes {count} of {inputs}: {words}")
            }
            Birth::Feed { name, nan, inf } => {
                format!("the feed `{name}` has {}", count(*nan, *inf))
            }
            Birth::Constant { name, nan, inf } => {
                format!("the constant `{name}` of the file has {}", count(*nan, *inf))
            }
        }
    }
}

/// An output of the reference with non-finite elements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NonfiniteOutput {
    /// The output's name.
    pub output: String,
    /// The number of NaN elements.
    pub nan: u64,
    /// The number of infinite elements.
    pub inf: u64,
    /// The number of all elements.
    pub elements: u64,
    /// The births behind this output, in the order of evaluation. Empty if the reference could not be stepped through.
    pub births: Vec<Birth>,
}

impl NonfiniteOutput {
    /// Counts an output's non-finite elements; `None` if all are finite. The births are still empty.
    pub fn of(output: &Output) -> Option<Self> {
        if !output.tensor.dtype().is_float() || is_finite(&output.tensor) {
            return None;
        }
        let (nan, inf) = census(&output.tensor);
        let (output, elements) = (output.name.to_string(), output.tensor.len() as u64);
        Some(NonfiniteOutput { output, nan, inf, elements, births: Vec::new() })
    }

    /// The non-finite elements and their births in words.
    pub fn words(&self) -> String {
        let what = match (self.nan, self.inf) {
            (1, 0) if self.elements == 1 => "its only element is NaN".to_owned(),
            (0, 1) if self.elements == 1 => "its only element is infinite".to_owned(),
            (1, 0) => format!("1 of {} elements is NaN", self.elements),
            (0, 1) => format!("1 of {} elements is infinite", self.elements),
            (nan, 0) => format!("{nan} of {} elements are NaN", self.elements),
            (0, inf) => format!("{inf} of {} elements are infinite", self.elements),
            (nan, inf) => format!("of {} elements {nan} are NaN and {inf} infinite", self.elements),
        };
        let from = match self.births.as_slice() {
            [] => String::new(),
            [only] => format!(": {}", only.words()),
            [first, second] => format!(": {}; {}", first.words(), second.words()),
            [first, rest @ ..] => format!(": {} (and {} more do so)", first.words(), rest.len()),
        };
        format!("output `{}`: {what} in the reference itself{from}", self.output)
    }
}

/// The non-finite values of one evaluation.
#[derive(Default)]
struct BornValues {
    /// Values with non-finite elements, and their numbers of NaN and infinities.
    nonfinite: BTreeMap<String, (u64, u64)>,
    /// The births, by step.
    births: BTreeMap<usize, Birth>,
}

/// Finds the births behind each non-finite output.
///
/// # Errors
/// Returns the reason if the reference refuses a feed or a node.
pub fn find_births(
    steps: &mut NodeSteps,
    feeds: &[Feed],
    outputs: &mut [NonfiniteOutput],
) -> Result<(), String> {
    let seen = look(steps, feeds)?;
    for output in outputs {
        output.births = seen.behind(steps, &output.output);
    }
    Ok(())
}

/// Walks the reference itself: each step becomes an operator, with its births from finite inputs.
///
/// # Errors
/// Returns the reason if the reference refuses a feed or a node.
pub fn watch(
    steps: &mut NodeSteps,
    feeds: &[Feed],
    reference: &mut dyn OperatorReference,
) -> Result<Trace, String> {
    let mut seen = look(steps, feeds)?;
    let mut follow = Follow::new(reference, StorageCensus::new(Format::F32));
    steps.start(feeds)?;
    for (index, operator) in operators(steps).into_iter().enumerate() {
        let inputs = steps.inputs(index)?;
        let outputs = steps.compute(index, &inputs, &Tensor::clone)?;
        steps.store(index, &outputs);
        steps.forget(index);
        let operand = |input: Option<Tensor>| input.map_or(Operand::Constant, Operand::Value);
        follow.observe(&Executed {
            index,
            operator,
            backend: "reference".into(),
            inputs: inputs.into_iter().map(operand).collect(),
            outputs: outputs.into_iter().map(Ok).collect(),
            moves: None,
        });
        if let (Some(measured), Some(Birth::Node { found, of_finite: true, .. })) =
            (follow.last_mut(), seen.births.remove(&index))
        {
            measured.born = Some(found);
        }
    }
    let (measured, storage) = follow.finish();
    Ok(Trace { measured, storage: storage.storage(), final_half: None })
}

fn look(steps: &mut NodeSteps, feeds: &[Feed]) -> Result<BornValues, String> {
    let mut seen = BornValues::default();
    let fed = feeds.iter().filter(|feed| !is_finite(&feed.tensor));
    seen.nonfinite.extend(fed.map(|feed| (feed.name.to_string(), census(&feed.tensor))));
    steps.start(feeds)?;
    for (step, operator) in operators(steps).into_iter().enumerate() {
        let inputs = steps.inputs(step)?;
        let outputs = steps.compute(step, &inputs, &Tensor::clone)?;
        let nonfinite = |(name, output): (&String, &Tensor)| {
            (!is_finite(output)).then(|| (name.clone(), census(output)))
        };
        let names: Vec<(String, (u64, u64))> =
            steps.writes(step).iter().zip(&outputs).filter_map(nonfinite).collect();
        if !names.is_empty() {
            let anatomy = anatomy(steps, step, inputs.into_iter().map(Some));
            let (op, op_type) = (&*operator.name, &*operator.op_type);
            let birth = outputs.iter().find_map(|output| {
                let case = NonfiniteCase {
                    op,
                    op_type,
                    anatomy: &anatomy,
                    format: limits(output.dtype()),
                };
                let (born, op_type) = (case.born(None, output), op_type.to_owned());
                match born {
                    Some(found) => Some(Birth::Node { op_type, found, of_finite: true }),
                    None => case.turned(output).map(|found| Birth::Node {
                        op_type,
                        found,
                        of_finite: false,
                    }),
                }
            });
            seen.births.extend(birth.map(|birth| (step, birth)));
            seen.nonfinite.extend(names);
        }
        steps.store(step, &outputs);
        steps.forget(step);
    }
    Ok(seen)
}

impl BornValues {
    /// The births whose non-finite values reach an output.
    fn behind(&self, steps: &NodeSteps, output: &str) -> Vec<Birth> {
        let mut waiting = vec![output.to_owned()];
        let mut met = BTreeSet::new();
        let (mut given, mut born) = (Vec::new(), BTreeMap::new());
        while let Some(value) = waiting.pop() {
            if !met.insert(value.clone()) {
                continue;
            }
            match (steps.step_of(&value), steps.constant(&value)) {
                (Some(step), _) => {
                    born.extend(self.births.get(&step).map(|birth| (step, birth.clone())));
                    let reads = steps.reads(step).iter();
                    let not_finite = reads.filter(|name| {
                        let is_constant =
                            || steps.constant(name).is_some_and(|tensor| !is_finite(&tensor));
                        self.nonfinite.contains_key(*name) || is_constant()
                    });
                    waiting.extend(not_finite.cloned());
                }
                (None, Some(tensor)) => {
                    let (nan, inf) = census(&tensor);
                    given.push(Birth::Constant { name: value, nan, inf });
                }
                (None, None) => {
                    let (nan, inf) = self.nonfinite.get(&value).copied().unwrap_or_default();
                    given.push(Birth::Feed { name: value, nan, inf });
                }
            }
        }
        given.into_iter().chain(born.into_values()).collect()
    }
}

/// The format whose limits apply to a value of the reference.
fn limits(dtype: Dtype) -> Format {
    match dtype {
        Dtype::F16 => Format::F16,
        Dtype::Bf16 => Format::Bf16,
        _ => Format::F32,
    }
}

/// The numbers of NaN and of infinite elements.
fn census(tensor: &Tensor) -> (u64, u64) {
    let numbers = tensor.numbers(1);
    let count = |is: fn(f64) -> bool| numbers.iter().filter(|value| is(**value)).count() as u64;
    (count(f64::is_nan), count(f64::is_infinite))
}

fn is_finite(tensor: &Tensor) -> bool {
    match tensor {
        Tensor::F32(array) => array.iter().all(|value| value.is_finite()),
        other if other.dtype().is_float() => other.numbers(1).into_iter().all(f64::is_finite),
        _ => true,
    }
}
