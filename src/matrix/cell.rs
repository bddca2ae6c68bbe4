//! One cell: a verdict with its reason, short enough for a table.

use crate::engine::RanOn;
use crate::verdict::{Kind, Origin, Verdict};
use crate::walk::{Fallback as Search, WalkReport};
use serde::{Deserialize, Serialize};

/// The result of one network on one target. A cell records neither date nor speed: equal results are equal
/// bytes on every machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The verdict's kind.
    pub kind: Kind,
    /// The verdict's sentence.
    pub sentence: String,
    /// The engine, backend and device that really ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_on: Option<RanOn>,
    /// The operators that introduce error, in the order of execution; absent without a walk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<CellSource>>,
    /// The first operator at which the engine's own CPU differs from the reference: the conversion changed
    /// the network there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converted: Option<String>,
    /// The converter or the CPU kernel that is to blame before any backend runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The operators that must run on the CPU for a right output; absent without a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<CellFallback>,
    /// The page of the walk: a file in the matrix's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// The result of a search for operators that must run on the CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellFallback {
    /// The operators or types found; absent if no small set of them helps.
    pub members: Option<Vec<Moved>>,
}

/// One operator, or one type of them, that must run on the CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The engine's name of the operator or type.
    pub name: String,
    /// The number of the type in the engine's sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
}

/// An operator that introduces error.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellSource {
    /// Its name in the engine.
    pub name: String,
    /// The engine's name of its type.
    pub op_type: String,
    /// The ONNX node that the operator comes from, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// A cell at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The output agrees with the reference, or differs only by what its storage format must cost.
    Right,
    /// The output is wrong, but right if some operators run on the CPU.
    Mended,
    /// The output is wrong, or the run crashes or hangs.
    Wrong,
    /// The engine does not support the network.
    Refused,
    /// The network ran on a different backend than asked: the target's result is unknown.
    FellBack,
    /// No judgement is possible.
    Unknown,
}

/// For each kind its mark, and the word of a cell without a more exact reason.
// a flat table: one row for each kind
const KINDS: &[(Kind, Mark, &str)] = &[
    (Kind::Agrees, Mark::Right, ""),
    (Kind::Explained, Mark::Right, "rounding"),
    (Kind::Precision, Mark::Wrong, "precision"),
    (Kind::Divergent, Mark::Wrong, "divergent"),
    (Kind::Nonfinite, Mark::Wrong, "NaN"),
    (Kind::Converter, Mark::Wrong, "converter"),
    (Kind::CpuKernel, Mark::Wrong, "cpu kernel"),
    (Kind::ReferenceWrong, Mark::Unknown, "reference wrong"),
    (Kind::Disputed, Mark::Unknown, "disputed"),
    (Kind::Nondeterministic, Mark::Wrong, "unstable"),
    (Kind::Crashed, Mark::Wrong, "crashes"),
    (Kind::TimedOut, Mark::Wrong, "hangs"),
    (Kind::Rejected, Mark::Refused, "refuses"),
    (Kind::FellBack, Mark::FellBack, "fell back"),
    (Kind::Unavailable, Mark::Unknown, "absent"),
    (Kind::Inconclusive, Mark::Unknown, "unclear"),
];

impl Cell {
    /// The cell of a verdict, and of the walk and the search for a fallback if there were any.
    pub fn new(
        ran_on: Option<RanOn>,
        verdict: &Verdict,
        walk: Option<&WalkReport>,
        search: Option<&Search>,
    ) -> Self {
        // Operators raised to high precision stay on the device: that is no fallback.
        let fallback = search.filter(|search| !search.raise).map(fallback);
        let helpless = fallback.as_ref().is_some_and(|fallback| fallback.members.is_none());
        let none = "; no few operators on the CPU make the output right";
        Cell {
            kind: verdict.kind,
            sentence: format!("{}{}", verdict.sentence, if helpless { none } else { "" }),
            ran_on,
            sources: walk.map(sources),
            converted: walk.and_then(|walk| walk.first_converted.clone()),
            origin: None,
            fallback,
            page: None,
        }
    }

    /// A cell that cannot be judged, with the reason.
    pub fn unclear(sentence: impl Into<String>) -> Self {
        Cell {
            kind: Kind::Inconclusive,
            sentence: sentence.into(),
            ran_on: None,
            sources: None,
            converted: None,
            origin: None,
            fallback: None,
            page: None,
        }
    }

    /// The mark of the cell: right, wrong, or not known.
    pub fn mark(&self) -> Mark {
        match self.row().1 {
            Mark::Wrong if !self.moved().is_empty() => Mark::Mended,
            mark => mark,
        }
    }

    /// The operators that must run on the CPU, with the engine's numbers of the types; else the reason. Empty for
    /// agreement.
    pub fn words(&self) -> String {
        let named = |moved: &Moved| match moved.number {
            Some(number) => format!("{} {number}", moved.name),
            None => moved.name.clone(),
        };
        let moved: Vec<String> = self.moved().iter().map(named).collect();
        match moved.as_slice() {
            [] => self.reason(),
            moved => format!("CPU: {}", moved.join(", ")),
        }
    }

    fn moved(&self) -> &[Moved] {
        self.fallback.as_ref().and_then(|fallback| fallback.members.as_deref()).unwrap_or_default()
    }

    /// The types of the operators that introduce error, with their counts. Without such operators: the converter
    /// or the CPU kernel if it is to blame, else the kind.
    fn reason(&self) -> String {
        let types = self.types();
        match (types.is_empty(), self.kind) {
            (true, Kind::Converter) => self.at_origin("converter"),
            (true, Kind::CpuKernel) => self.at_origin(&format!("{} cpu", self.engine())),
            (true, _) => self.row().2.into(),
            (false, Kind::Nonfinite) => format!("NaN: {}", types.join(", ")),
            (false, _) => types.join(", "),
        }
    }

    /// The converter or the CPU kernel that is to blame, with the type of the operator.
    fn at_origin(&self, who: &str) -> String {
        match &self.origin {
            Some(origin) => format!("{who}: {}", origin.op_type),
            None => self.row().2.into(),
        }
    }

    fn engine(&self) -> &str {
        self.ran_on.as_ref().map_or("engine", |ran_on| &ran_on.engine)
    }

    /// The types of the operators that introduce error, with their counts, in the order of first occurrence.
    fn types(&self) -> Vec<String> {
        let mut counted: Vec<(&str, usize)> = Vec::new();
        for CellSource { op_type, .. } in self.sources.iter().flatten() {
            match counted.iter_mut().find(|(known, _)| known == op_type) {
                Some((_, count)) => *count += 1,
                None => counted.push((op_type, 1)),
            }
        }
        let words = |(op_type, count): (&str, usize)| match count {
            1 => op_type.to_owned(),
            several => format!("{op_type} ×{several}"),
        };
        counted.into_iter().map(words).collect()
    }

    fn row(&self) -> &'static (Kind, Mark, &'static str) {
        let row = KINDS.iter().find(|(kind, _, _)| *kind == self.kind);
        row.expect("every kind of verdict has a row")
    }
}

fn fallback(search: &Search) -> CellFallback {
    let members = search.members.as_ref().filter(|_| search.is_small());
    let moved = |member: &crate::walk::Member| Moved {
        name: member.name.clone(),
        number: member.type_number,
    };
    CellFallback { members: members.map(|members| members.iter().map(moved).collect()) }
}

fn sources(walk: &WalkReport) -> Vec<CellSource> {
    let op_type = |name: &str| {
        let op = walk.ops.iter().find(|op| op.name == name);
        op.map_or_else(|| "operator".to_owned(), |op| op.op_type.clone())
    };
    let source = |(name, node): (&str, Option<&str>)| CellSource {
        name: name.to_owned(),
        op_type: op_type(name),
        node: node.map(str::to_owned),
    };
    walk.accused().map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(kind: Kind, types: &[&str], converted: bool) -> Cell {
        let source = |op_type: &&str| CellSource {
            name: format!("{op_type}_0"),
            op_type: (*op_type).to_owned(),
            node: None,
        };
        Cell {
            kind,
            sources: Some(types.iter().map(source).collect()),
            converted: converted.then(|| "gelu".to_owned()),
            ..Cell::unclear("for a test")
        }
    }

    #[test]
    fn every_kind_has_a_mark_and_its_words() {
        for (kind, mark, words) in KINDS {
            let cell = cell(*kind, &[], false);
            assert_eq!((cell.mark(), cell.words().as_str()), (*mark, *words));
            assert_eq!(*mark == Mark::Right, kind.news() == crate::verdict::News::Good);
        }
    }

    #[test]
    fn operators_are_named_by_type_and_count() {
        let softmax = cell(Kind::Divergent, &["Softmax", "Raster", "Softmax"], true);
        assert_eq!(softmax.words(), "Softmax ×2, Raster");
        assert_eq!(cell(Kind::Nonfinite, &["Erf"], false).words(), "NaN: Erf");
        assert_eq!(cell(Kind::Divergent, &[], true).words(), "divergent");
        assert_eq!(cell(Kind::Crashed, &[], true).words(), "crashes");
    }

    #[test]
    fn what_must_run_on_the_cpu_takes_the_place_of_the_reason() {
        let with = |members: Option<Vec<Moved>>| Cell {
            fallback: Some(CellFallback { members }),
            ..cell(Kind::Divergent, &["Softmax", "Softmax"], false)
        };
        let moved = |name: &str, number| Moved { name: name.into(), number };
        let mended = with(Some(vec![moved("Scale", Some(77)), moved("Erf", None)]));
        assert_eq!((mended.mark(), mended.words().as_str()), (Mark::Mended, "CPU: Scale 77, Erf"));
        let none = with(None);
        assert_eq!((none.mark(), none.words().as_str()), (Mark::Wrong, "Softmax ×2"));
        assert_eq!(with(Some(Vec::new())).words(), "Softmax ×2");
    }
}
