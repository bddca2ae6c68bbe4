//! Who is right about one node on one class of inputs.
//!
//! The right value is what ONNX ships for the inputs as given, if another code agrees with it; else that
//! of offby's own kernel, if another code agrees with it; else the value that most codes, and at least
//! two, agree on. tract in all its forms is one code, and offby's reference has no vote: some of its
//! kernels are offby's own.

use super::answers::{Answer, Answers, Party};
use offby::tensor::Tensor;
use offby::verdict::{distance, is_within};
use std::collections::BTreeSet;

/// Those whose values are compared, the best witness first.
const VOTERS: [Party; 6] =
    [Party::Own, Party::Shipped, Party::Wide, Party::Ort, Party::Plain, Party::Mnn];

/// How far a wrong value is from the right one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Apart {
    /// By this relative L2 distance.
    By(f64),
    /// NaN or infinities where the other has none, or the other way round.
    NonFinite,
    /// A real number where the other is none, or the other way round.
    Type,
    /// Another shape or count of outputs.
    Shape,
}

/// What one did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Deed {
    /// It gave the right value.
    Right,
    /// It gave another one.
    Wrong(Apart),
    /// It gave none.
    Refused,
    /// It was not there.
    Absent,
}

/// What is right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// This one's value.
    Right(Party),
    /// Nobody can say.
    Undecided,
    /// Fewer than two codes gave a value.
    Alone,
    /// The standard leaves it open.
    Open(String),
}

/// What is right, and what everybody did.
pub(crate) struct Judged {
    /// What is right.
    pub(crate) decision: Decision,
    /// Each one's deed, where that is decided.
    pub(crate) deeds: Vec<(Party, Deed)>,
    /// Whether two codes that agree are held to be wrong.
    pub(crate) is_contested: bool,
}

impl Judged {
    /// One's deed.
    pub(crate) fn of(&self, party: Party) -> Deed {
        let found = self.deeds.iter().find(|(other, _)| *other == party);
        found.map_or(Deed::Absent, |(_, deed)| *deed)
    }

    /// Whether somebody is wrong, or nobody knows.
    pub(crate) fn is_interesting(&self) -> bool {
        self.decision == Decision::Undecided
            || self.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Wrong(_)))
    }

    /// The decision in words.
    pub(crate) fn words(&self) -> String {
        let wrong = self.deeds.iter().filter_map(|(party, deed)| match deed {
            Deed::Wrong(apart) => Some(format!("{} ({})", party.name(), apart.words())),
            _ => None,
        });
        let wrong: Vec<String> = wrong.collect();
        match &self.decision {
            Decision::Right(party) => {
                format!("right: {}; wrong: {}", party.name(), wrong.join(", "))
            }
            Decision::Undecided => "undecided".into(),
            Decision::Alone => "one answer alone".into(),
            Decision::Open(what) => format!("undefined: {what}"),
        }
    }
}

impl Apart {
    /// The larger error.
    pub(crate) fn worse(self, other: Apart) -> Apart {
        let key = |apart: Apart| match apart {
            Apart::By(distance) => (0, distance),
            Apart::NonFinite => (1, 0.0),
            Apart::Type => (2, 0.0),
            Apart::Shape => (3, 0.0),
        };
        if key(other) > key(self) { other } else { self }
    }

    /// What a cell says.
    pub(crate) fn words(self) -> String {
        match self {
            Apart::By(distance) => format!("{distance:.0e}"),
            Apart::NonFinite => "NaN/inf".into(),
            Apart::Type => "type".into(),
            Apart::Shape => "shape".into(),
        }
    }
}

/// Weighs the answers.
pub(crate) fn judge(answers: &Answers) -> Judged {
    let decided = decide(answers);
    let (decision, is_contested) = match (&answers.undefined, decided) {
        (Some(what), _) => (Decision::Open(what.clone()), false),
        (None, decided) => decided,
    };
    let right = match &decision {
        Decision::Right(party) => answers.outputs(*party),
        Decision::Undecided | Decision::Alone | Decision::Open(_) => None,
    };
    let deed = |party: Party| match (answers.of(party), right) {
        (Answer::Refuses(_), _) => Deed::Refused,
        (Answer::Gave(found), Some(right)) if agree(right, found) => Deed::Right,
        (Answer::Gave(found), Some(right)) => Deed::Wrong(apart(right, found)),
        (Answer::Gave(_), None) | (Answer::Absent, _) => Deed::Absent,
    };
    let deeds = Party::ALL.iter().map(|&party| (party, deed(party))).collect();
    Judged { decision, deeds, is_contested }
}

/// What is right, and whether two codes agree on something else.
fn decide(answers: &Answers) -> (Decision, bool) {
    let given: Vec<(Party, &[Tensor])> =
        VOTERS.iter().filter_map(|&party| Some((party, answers.outputs(party)?))).collect();
    if codes(given.iter().map(|(party, _)| *party)) < 2 {
        return (Decision::Alone, false);
    }
    let groups: Vec<(Party, usize)> = given
        .iter()
        .map(|(leader, right)| {
            let with = given.iter().filter(|(_, found)| agree(right, found));
            (*leader, codes(with.map(|(party, _)| *party)))
        })
        .collect();
    let outside = |leader: Party| {
        let right = answers.outputs(leader).unwrap_or_default();
        let others = given.iter().zip(&groups).filter(|((_, found), _)| !agree(right, found));
        others.map(|(_, (_, size))| *size).max().unwrap_or(0)
    };
    let supported =
        |party: Party| groups.iter().any(|(leader, size)| *leader == party && *size >= 2);
    let own = answers.outputs(Party::Own).unwrap_or_default();
    // What ONNX ships may be rounded to 16 bits, and a kernel that agrees with it is not.
    let is_shipped = answers.outputs(Party::Shipped).is_some_and(|shipped| agree(shipped, own));
    let witness = match (supported(Party::Shipped), supported(Party::Own)) {
        (true, own) if !(own && is_shipped) => Some(Party::Shipped),
        (_, true) => Some(Party::Own),
        (_, false) => None,
    };
    if let Some(witness) = witness {
        return (Decision::Right(witness), outside(witness) >= 2);
    }
    let most = groups.iter().map(|(_, size)| *size).max().unwrap_or(0);
    match groups.iter().find(|(_, size)| *size == most) {
        Some((leader, _)) if most >= 2 && outside(*leader) < most => {
            (Decision::Right(*leader), false)
        }
        _ => (Decision::Undecided, false),
    }
}

/// How many codes are among these.
fn codes(parties: impl Iterator<Item = Party>) -> usize {
    let code = |party| if party == Party::Wide { Party::Plain } else { party };
    parties.map(code).collect::<BTreeSet<_>>().len()
}

/// Whether two values agree; those without elements do if their shapes do.
fn agree(right: &[Tensor], found: &[Tensor]) -> bool {
    let one = |(right, found): (&Tensor, &Tensor)| match right.is_empty() && found.is_empty() {
        true => right.shape() == found.shape(),
        false => is_within(std::slice::from_ref(right), std::slice::from_ref(found)),
    };
    right.len() == found.len() && right.iter().zip(found).all(one)
}

/// How far a value is from the right one.
pub(crate) fn apart(right: &[Tensor], found: &[Tensor]) -> Apart {
    let mut pairs = right.iter().zip(found);
    if right.len() != found.len() || pairs.clone().any(|(r, f)| r.shape() != f.shape()) {
        return Apart::Shape;
    }
    if pairs.any(|(r, f)| r.dtype().is_float() != f.dtype().is_float()) {
        return Apart::Type;
    }
    match distance(right, found) {
        by if by.is_finite() => Apart::By(by),
        _ => Apart::NonFinite,
    }
}
