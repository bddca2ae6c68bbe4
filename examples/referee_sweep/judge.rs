//! Decides which codes are right about one node on one class of inputs.
//!
//! The right value is ONNX's shipped value for the given inputs, if a second code agrees with it. Otherwise it
//! is the value of offby's own kernel, if a second code agrees with that. Otherwise it is the value that most
//! codes, and at least two, agree on. All forms of tract are one code. offby's reference has no vote: some of
//! its kernels are offby's own.

use super::answers::{Answer, Answers, Party};
use offby::tensor::Tensor;
use offby::verdict::{distance, is_within};
use std::collections::BTreeSet;

/// The parties whose values are compared, the best witness first.
const VOTERS: [Party; 6] =
    [Party::Own, Party::Shipped, Party::Wide, Party::Ort, Party::Plain, Party::Mnn];

/// How far a wrong value is from the right one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Apart {
    /// By this relative L2 distance.
    By(f64),
    /// One value has NaN or infinities at elements that are finite in the other.
    NonFinite,
    /// One value is a real number, and the other is not.
    Type,
    /// The shape or the count of outputs differs.
    Shape,
}

/// The result of one party.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Deed {
    /// The party returned the right value.
    Right,
    /// The party returned a wrong value.
    Wrong(Apart),
    /// The party returned no value.
    Refused,
    /// The party was absent.
    Absent,
}

/// The decision about the right value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// This party's value is right.
    Right(Party),
    /// The value cannot be decided.
    Undecided,
    /// Fewer than two codes returned a value.
    Alone,
    /// The standard leaves the value open.
    Open(String),
}

/// The decision, and the deed of each party.
pub(crate) struct Judged {
    /// The decision about the right value.
    pub(crate) decision: Decision,
    /// The deed of each party, if the value is decided.
    pub(crate) deeds: Vec<(Party, Deed)>,
    /// Whether the decision rejects a value on which two codes agree.
    pub(crate) is_contested: bool,
}

impl Judged {
    /// A party's deed.
    pub(crate) fn of(&self, party: Party) -> Deed {
        let found = self.deeds.iter().find(|(other, _)| *other == party);
        found.map_or(Deed::Absent, |(_, deed)| *deed)
    }

    /// Whether a party is wrong, or the value is undecided.
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

    /// The words for a cell of the table.
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

/// The decision, and whether two codes agree on a different value.
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
    // ONNX's shipped value may be rounded to 16 bits; the value of a kernel that agrees with it is not.
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

/// How many codes these parties use.
fn codes(parties: impl Iterator<Item = Party>) -> usize {
    let code = |party| if party == Party::Wide { Party::Plain } else { party };
    parties.map(code).collect::<BTreeSet<_>>().len()
}

/// Whether two values agree; values without elements agree if their shapes do.
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
