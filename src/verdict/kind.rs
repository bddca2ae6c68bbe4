//! The kinds of verdict, and the exit code each of them means.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What is the matter with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Nothing.
    Agrees,
    /// It differs by exactly what its storage format must cost.
    Explained,
    /// Every operator is honest, but the sum of their rounding is too large.
    Precision,
    /// It computes something else.
    Divergent,
    /// It gives NaN or infinities where the reference has numbers.
    Nonfinite,
    /// The engine's converter made another network of the model.
    Converter,
    /// The engine's own CPU kernel computes an operator wrongly, and so does the target.
    #[serde(rename = "cpu_kernel")]
    CpuKernel,
    /// The reference is wrong, and the target is right.
    #[serde(rename = "reference_wrong")]
    ReferenceWrong,
    /// The reference and a referee differ, and nothing decides between them.
    Disputed,
    /// It gives different bytes for the same input.
    Nondeterministic,
    /// Its process died.
    Crashed,
    /// It did not answer in time.
    #[serde(rename = "timed_out")]
    TimedOut,
    /// It refused the model.
    Rejected,
    /// It ran elsewhere than asked.
    #[serde(rename = "fell_back")]
    FellBack,
    /// It is not here.
    Unavailable,
    /// Nothing could be compared.
    Inconclusive,
}

/// Whether a kind is good news, bad news or no news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Agrees, or is explained.
    Good,
    /// A divergence was found.
    Bad,
    /// Nothing was compared.
    None,
}

impl Kind {
    /// Good, bad or no news.
    pub fn news(self) -> News {
        match self {
            Kind::Agrees | Kind::Explained => News::Good,
            Kind::Precision
            | Kind::Divergent
            | Kind::Nonfinite
            | Kind::Converter
            | Kind::CpuKernel
            | Kind::Nondeterministic => News::Bad,
            Kind::ReferenceWrong
            | Kind::Disputed
            | Kind::Crashed
            | Kind::TimedOut
            | Kind::Rejected
            | Kind::FellBack
            | Kind::Unavailable
            | Kind::Inconclusive => News::None,
        }
    }

    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Agrees => "agrees",
            Kind::Explained => "explained",
            Kind::Precision => "precision",
            Kind::Divergent => "divergent",
            Kind::Nonfinite => "nonfinite",
            Kind::Converter => "converter",
            Kind::CpuKernel => "cpu_kernel",
            Kind::ReferenceWrong => "reference_wrong",
            Kind::Disputed => "disputed",
            Kind::Nondeterministic => "nondeterministic",
            Kind::Crashed => "crashed",
            Kind::TimedOut => "timed_out",
            Kind::Rejected => "rejected",
            Kind::FellBack => "fell_back",
            Kind::Unavailable => "unavailable",
            Kind::Inconclusive => "inconclusive",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How often a finding was seen: `reproduced` of `of` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confidence {
    /// Runs that showed it.
    pub reproduced: usize,
    /// Runs there were.
    pub of: usize,
}

/// What is said of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The kind.
    pub kind: Kind,
    /// One sentence for the ticket.
    pub sentence: String,
    /// How often it was seen.
    pub confidence: Confidence,
    /// What kind of fault the numbers point at, best first.
    pub diagnosis: Vec<String>,
    /// What to do next, where something can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The exit code where nothing can be said, or not all was looked at.
pub const INCONCLUSIVE: u8 = 3;

/// The exit code of a command: 0 all is well, 1 a divergence was found, 3 something was not compared.
pub fn exit_code(kinds: impl IntoIterator<Item = Kind>) -> u8 {
    let news: Vec<News> = kinds.into_iter().map(Kind::news).collect();
    if news.contains(&News::Bad) {
        1
    } else if news.is_empty() || news.contains(&News::None) {
        INCONCLUSIVE
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_not_success() {
        assert_eq!(exit_code([]), 3);
        assert_eq!(exit_code([Kind::Agrees, Kind::FellBack]), 3);
        assert_eq!(exit_code([Kind::Agrees, Kind::Explained]), 0);
        assert_eq!(exit_code([Kind::Unavailable, Kind::Nonfinite]), 1);
    }
}
