//! Decides which engine is right at a node where the reference and other engines differ.
//!
//! Engines of one code share their faults, so votes are counted by code. The reference is wrong if two
//! codes, or `f64` and one code, agree against it and no other code supports it. If one code alone
//! differs from the reference, the node is disputed, and no engine is accused.

use crate::engine::Target;
use crate::tensor::{Dtype, Format, Tensor};
use crate::walk::{ErrorSummary, error_summary};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Two values agree against a third if they are this many times nearer to each other than to the third. Eight is
/// three bits, a convention: the referee sweep has no gap between honest and wrong engines here. The factor has
/// no effect on values that agree within the table's tolerance.
pub const NEARER: f64 = 8.0;

/// The code that computed a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// offby's own kernels.
    Offby,
    /// tract; simulated devices also compute with tract.
    Tract,
    /// tract in `f64`: its vote counts against tract in `f32`, and never for it.
    TractF64,
    /// ONNX Runtime, on any provider.
    OnnxRuntime,
    /// MNN, on any backend.
    Mnn,
    /// An engine of the user's own.
    Other(String),
}

impl Code {
    /// The code that a target runs.
    pub fn of(target: &Target) -> Self {
        match target.itself() {
            Target::Mnn(_) => Code::Mnn,
            Target::Ort(_) => Code::OnnxRuntime,
            Target::Ext(target) => Code::Other(target.name.clone()),
            _ => Code::Tract,
        }
    }

    /// The name of the code in sentences.
    pub fn name(&self) -> &str {
        match self {
            Code::Offby => "offby's f64 kernel",
            Code::Tract => "tract",
            Code::TractF64 => "tract in f64",
            Code::OnnxRuntime => "ONNX Runtime",
            Code::Mnn => "MNN",
            Code::Other(name) => name,
        }
    }
}

/// One code's outputs of a node, on the same inputs as all other codes.
#[derive(Debug, Clone)]
pub struct Party {
    /// The code.
    pub code: Code,
    /// Whether the party is only a referee. The other parties are engines under test.
    pub is_referee: bool,
    /// The node's outputs.
    pub outputs: Vec<Tensor>,
}

/// The parties' decision on the reference's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No party that counts differs.
    Right,
    /// These parties agree against the reference, the best party first.
    Wrong(Vec<usize>),
    /// These parties differ from the reference, and no further evidence decides.
    Disputed(Vec<usize>),
}

/// The distance of one party from the reference, and its side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Opinion {
    /// The code.
    pub code: Code,
    /// Whether the party's value agrees with the reference's.
    pub with_reference: bool,
    /// Whether the party is in the group that agrees against the reference.
    #[serde(default)]
    pub with_dissent: bool,
    /// Relative L2 distance to the reference's value; `None` if NaN, infinities or shapes differ.
    pub from_reference: Option<f64>,
    /// Relative L2 distance to the first party that differs from the reference.
    pub from_dissent: Option<f64>,
    /// The party's value at the element where the first dissenter is furthest from the reference.
    pub example: Option<f64>,
}

/// A node with a wrong or disputed value of the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ruling {
    /// The node's label.
    pub node: String,
    /// The node's operator type.
    pub op_type: String,
    /// The reference's code.
    pub reference: Code,
    /// Whether the reference is wrong; otherwise its value is disputed.
    pub is_wrong: bool,
    /// The reference's value at the element where the first dissenter is furthest from it.
    pub example: Option<f64>,
    /// The part that the standard leaves open here, which allows engines to differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
    /// The opinion of each party.
    pub opinions: Vec<Opinion>,
}

/// Weighs the parties' values against the reference's.
pub fn weigh(reference: &Party, parties: &[Party]) -> Found {
    let dissents = |party: &Party| !is_within(&reference.outputs, &party.outputs);
    let group_of = |leader: usize| -> Vec<usize> {
        let stands = |&other: &usize| {
            other == leader
                || (dissents(&parties[other])
                    && together(reference, &parties[leader], &parties[other]))
        };
        std::iter::once(leader)
            .chain((0..parties.len()).filter(|other| *other != leader).filter(stands))
            .collect()
    };
    let leaders = (0..parties.len()).filter(|&at| dissents(&parties[at]));
    // Of equally large groups the first wins, led by offby's own kernel if present: parties are in that order.
    let groups: Vec<Vec<usize>> = leaders.map(group_of).collect();
    let most = groups.iter().map(|group| codes(parties, group)).max().unwrap_or(0);
    let Some(group) = groups.into_iter().find(|group| codes(parties, group) == most) else {
        return Found::Right;
    };
    let leader = &parties[group[0]];
    let supports = |party: &&Party| {
        let shares_code = [&Code::TractF64, &reference.code].contains(&&party.code);
        let nearer = || {
            let (to_reference, to_leader) = (
                distance(&reference.outputs, &party.outputs),
                distance(&leader.outputs, &party.outputs),
            );
            to_reference * NEARER <= to_leader
        };
        !shares_code && (is_within(&reference.outputs, &party.outputs) || nearer())
    };
    let supporters: BTreeSet<&Code> =
        parties.iter().filter(supports).map(|party| &party.code).collect();
    match (codes(parties, &group), supporters.len()) {
        (1, 0) if group.iter().all(|&at| !parties[at].is_referee) => Found::Right,
        (1, 0) => Found::Disputed(group),
        (1, _) => Found::Right,
        (against, with) if against > with + usize::from(with > 0) => Found::Wrong(group),
        _ => Found::Disputed(group),
    }
}

/// All parties that differ from the reference, if a referee is among them.
fn dissenters(reference: &Party, parties: &[Party]) -> Option<Vec<usize>> {
    let differs = |at: &usize| !is_within(&reference.outputs, &parties[*at].outputs);
    let all: Vec<usize> = (0..parties.len()).filter(differs).collect();
    all.iter().any(|&at| parties[at].is_referee).then_some(all)
}

fn codes(parties: &[Party], group: &[usize]) -> usize {
    group.iter().map(|&at| &parties[at].code).collect::<BTreeSet<_>>().len()
}

/// Whether two parties agree against the reference.
fn together(reference: &Party, a: &Party, b: &Party) -> bool {
    if is_within(&a.outputs, &b.outputs) {
        return true;
    }
    let apart = distance(&a.outputs, &b.outputs);
    let from_reference =
        distance(&reference.outputs, &a.outputs).min(distance(&reference.outputs, &b.outputs));
    apart.is_finite() && apart * NEARER <= from_reference
}

/// Whether two honest engines may differ by this much at one node.
pub fn is_within(reference: &[Tensor], candidate: &[Tensor]) -> bool {
    reference.len() == candidate.len()
        && reference.iter().zip(candidate).all(|(reference, candidate)| {
            error_summary(reference, candidate)
                .is_some_and(|error_summary| allows(&error_summary, [reference, candidate]))
        })
}

/// The coarser storage of the two decides; values other than floating-point numbers must be equal.
fn allows(error_summary: &ErrorSummary, pair: [&Tensor; 2]) -> bool {
    let has = |dtype: Dtype| pair.iter().any(|tensor| tensor.dtype() == dtype);
    let is_float = pair.iter().all(|tensor| tensor.dtype().is_float());
    let within = match () {
        () if !is_float => error_summary.mismatched == 0,
        () if has(Dtype::Bf16) => error_summary.is_within(Format::Bf16),
        () if has(Dtype::F16) => error_summary.is_within(Format::F16),
        () => error_summary.is_within(Format::F32),
    };
    error_summary.disagreeing == 0 && within
}

/// Relative L2 distance of the worst output; infinite if more than finite numbers differs.
pub fn distance(reference: &[Tensor], candidate: &[Tensor]) -> f64 {
    if reference.len() != candidate.len() {
        return f64::INFINITY;
    }
    let one = |(reference, candidate): (&Tensor, &Tensor)| match error_summary(reference, candidate)
    {
        Some(error_summary) if error_summary.disagreeing == 0 => error_summary.rel_l2,
        _ => f64::INFINITY,
    };
    reference.iter().zip(candidate).map(one).fold(0.0, f64::max)
}

impl Ruling {
    /// The ruling on a node, `None` if no party that counts differs from the reference. `undefined` names the
    /// part that the standard leaves open there: then no party is wrong.
    pub fn of(
        node: (String, String),
        reference: &Party,
        parties: &[Party],
        undefined: Option<String>,
    ) -> Option<Self> {
        let (group, is_wrong) = match weigh(reference, parties) {
            Found::Right if undefined.is_some() => (dissenters(reference, parties)?, false),
            Found::Right => return None,
            Found::Wrong(group) => (group, undefined.is_none()),
            Found::Disputed(group) => (group, false),
        };
        let dissent = &parties[group[0]];
        let at = furthest(&reference.outputs, &dissent.outputs);
        let number = |outputs: &[Tensor]| {
            let (output, element) = at?;
            outputs.get(output)?.numbers(1).get(element).copied()
        };
        let finite = |distance: f64| Some(distance).filter(|distance| distance.is_finite());
        let opinion = |(place, party): (usize, &Party)| Opinion {
            code: party.code.clone(),
            with_dissent: group.contains(&place),
            with_reference: is_within(&reference.outputs, &party.outputs),
            from_reference: finite(distance(&reference.outputs, &party.outputs)),
            from_dissent: finite(distance(&dissent.outputs, &party.outputs)),
            example: number(&party.outputs),
        };
        let (node, op_type) = node;
        Some(Ruling {
            node,
            op_type,
            reference: reference.code.clone(),
            is_wrong,
            example: number(&reference.outputs),
            undefined,
            opinions: parties.iter().enumerate().map(opinion).collect(),
        })
    }

    /// The ruling in one sentence.
    pub fn words(&self) -> String {
        let reference = self.reference.name();
        let counts = |one: &&Opinion| one.with_reference && one.code != Code::TractF64;
        let with: Vec<&Opinion> = self.opinions.iter().filter(counts).collect();
        let against: Vec<&Opinion> = self.opinions.iter().filter(|one| one.with_dissent).collect();
        let place = format!("`{}` ({})", self.node, self.op_type);
        let example = match (self.example, against.first().and_then(|opinion| opinion.example)) {
            (Some(here), Some(there)) => {
                format!(
                    "{reference} has {} where {} has {}",
                    shown(here),
                    against[0].code.name(),
                    shown(there)
                )
            }
            _ => format!("{reference} differs"),
        };
        let dissenters = listed(against.iter().map(|opinion| opinion.code.name()));
        if !self.is_wrong {
            let support = match with.is_empty() {
                true => String::new(),
                false => format!(
                    "; {} agrees with {reference}",
                    listed(with.iter().map(|o| o.code.name()))
                ),
            };
            let why = match &self.undefined {
                Some(undefined) => format!("and ONNX does not define it ({undefined})"),
                None => "and no third engine decides which is right".to_owned(),
            };
            return format!("{place} is disputed: {example}{support}, {why}");
        }
        let apart = against.iter().filter_map(|opinion| opinion.from_dissent).fold(0.0, f64::max);
        let agree = match against.len() {
            1 => String::new(),
            _ if apart == 0.0 => " agree exactly".to_owned(),
            _ => format!(" agree to {apart:.0e}"),
        };
        format!("{place}: {reference} stands alone: {example}; {dissenters}{agree}")
    }
}

/// The output and element where two values are furthest apart.
fn furthest(reference: &[Tensor], candidate: &[Tensor]) -> Option<(usize, usize)> {
    let mut worst = None;
    for (output, (reference, candidate)) in reference.iter().zip(candidate).enumerate() {
        let pairs = reference.numbers(1).into_iter().zip(candidate.numbers(1));
        for (element, (r, c)) in pairs.enumerate() {
            let same = r == c || (r.is_nan() && c.is_nan());
            let apart = if same { 0.0 } else { (r - c).abs() };
            // NaN on one side only is the largest distance.
            let apart = if apart.is_nan() { f64::INFINITY } else { apart };
            if apart > 0.0 && worst.is_none_or(|(_, _, known)| apart > known) {
                worst = Some((output, element, apart));
            }
        }
    }
    worst.map(|(output, element, _)| (output, element))
}

fn shown(value: f64) -> String {
    let magnitude = value.abs();
    match value.is_finite() && magnitude > 0.0 && !(1e-3..1e6).contains(&magnitude) {
        true => format!("{value:.4e}"),
        false => format!("{}", value as f32),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.as_slice() {
        [] => "nobody".into(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(code: Code, values: &[f32]) -> Party {
        let tensor = Tensor::from_f32(&[values.len()], values.to_vec()).unwrap();
        let is_referee = code != Code::Mnn;
        Party { code, is_referee, outputs: vec![tensor] }
    }

    const RIGHT: &[f32] = &[1.0, 2.0, 3.0];
    const WRONG: &[f32] = &[1.0, 2.5, 3.0];

    fn found(reference: &[f32], others: &[(Code, &[f32])]) -> Found {
        let parties: Vec<Party> =
            others.iter().map(|(code, values)| party(code.clone(), values)).collect();
        weigh(&party(Code::Tract, reference), &parties)
    }

    #[test]
    fn two_codes_convict_and_one_disputes() {
        use Code::{Mnn, Offby, OnnxRuntime, TractF64};
        assert_eq!(found(RIGHT, &[(Offby, RIGHT)]), Found::Right);
        assert_eq!(found(WRONG, &[(Offby, RIGHT), (OnnxRuntime, RIGHT)]), Found::Wrong(vec![0, 1]));
        assert_eq!(found(WRONG, &[(TractF64, RIGHT), (Mnn, RIGHT)]), Found::Wrong(vec![0, 1]));
        assert_eq!(found(WRONG, &[(OnnxRuntime, RIGHT)]), Found::Disputed(vec![0]));
        assert_eq!(found(WRONG, &[(TractF64, RIGHT)]), Found::Disputed(vec![0]));
        // tract in f64 shares tract's code, so its support does not count.
        let all = [(TractF64, WRONG), (OnnxRuntime, RIGHT), (Mnn, RIGHT)];
        assert_eq!(found(WRONG, &all), Found::Wrong(vec![1, 2]));
    }

    #[test]
    fn an_engine_under_test_disputes_nothing_by_itself() {
        use Code::{Mnn, Offby, OnnxRuntime, Other};
        assert_eq!(found(RIGHT, &[(Mnn, WRONG)]), Found::Right);
        assert_eq!(found(RIGHT, &[(Offby, RIGHT), (Mnn, WRONG)]), Found::Right);
        assert_eq!(found(RIGHT, &[(OnnxRuntime, RIGHT), (Offby, WRONG)]), Found::Right);
        let split = [(OnnxRuntime, RIGHT), (Mnn, WRONG), (Other("x".into()), WRONG)];
        assert_eq!(found(RIGHT, &split), Found::Disputed(vec![1, 2]));
    }

    #[test]
    fn in_an_ill_conditioned_node_the_nearer_ones_stand_together() {
        use Code::{Offby, OnnxRuntime};
        let (exact, near): (&[f32], &[f32]) = (&[1.0, 2.0, 3.0], &[1.0, 2.002, 3.0]);
        let far: &[f32] = &[1.0, 2.08, 3.0];
        assert_eq!(found(far, &[(Offby, exact), (OnnxRuntime, near)]), Found::Wrong(vec![0, 1]));
    }

    #[test]
    fn the_words_say_who_stands_where() {
        let parties = [party(Code::Offby, RIGHT), party(Code::OnnxRuntime, RIGHT)];
        let node = ("ls".to_owned(), "ReduceLogSumExp".to_owned());
        let ruling = Ruling::of(node, &party(Code::Tract, WRONG), &parties, None).unwrap();
        assert_eq!(
            ruling.words(),
            "`ls` (ReduceLogSumExp): tract stands alone: tract has 2.5 where offby's f64 kernel has 2; offby's f64 kernel and ONNX Runtime agree exactly"
        );
    }
}
