//! The kinds of verdict, and the exit code of each kind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kind of a verdict on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// The target agrees with the reference.
    Agrees,
    /// The target differs by exactly the unavoidable error of its storage format.
    Explained,
    /// Every operator is honest, but the sum of their roundings is too large.
    Precision,
    /// The target computes different values.
    Divergent,
    /// The target returns NaN or infinities instead of the reference's numbers.
    Nonfinite,
    /// The engine's converter made a different network from the model.
    Converter,
    /// The engine's own CPU kernel computes an operator wrongly, and so does the target.
    #[serde(rename = "cpu_kernel")]
    CpuKernel,
    /// The reference is wrong, and the target is right.
    #[serde(rename = "reference_wrong")]
    ReferenceWrong,
    /// The reference and a referee differ, and no further evidence decides between them.
    Disputed,
    /// The target returns different bytes for the same input.
    Nondeterministic,
    /// The target's process died.
    Crashed,
    /// The target did not answer in time.
    #[serde(rename = "timed_out")]
    TimedOut,
    /// The target refused the model.
    Rejected,
    /// The target ran on a different backend than requested.
    #[serde(rename = "fell_back")]
    FellBack,
    /// The target is missing.
    Unavailable,
    /// No comparison was possible.
    Inconclusive,
}

/// Whether a kind is good news, bad news or no news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The target agrees, or its difference is explained.
    Good,
    /// A divergence was found.
    Bad,
    /// No comparison was made.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confidence {
    /// The number of runs that showed the finding.
    pub reproduced: usize,
    /// The number of all runs.
    pub of: usize,
}

/// The verdict on one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Verdict {
    /// The kind.
    pub kind: Kind,
    /// One sentence for the ticket.
    pub sentence: String,
    /// How often the finding was seen.
    pub confidence: Confidence,
    /// The kinds of fault that fit the numbers, the best fit first.
    pub diagnosis: Vec<String>,
    /// The next step for the user, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The exit code if no verdict is possible, or if a part was not compared.
pub const INCONCLUSIVE: u8 = 3;

/// The exit code of a command: 0 if all is well, 1 if a divergence was found, 3 if a part was not compared.
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
