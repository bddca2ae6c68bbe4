//! The count: how many failures were planted, and how many were named as planted.

use crate::plan::{KINDS, Kind, Plan, STAGES, Stage};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// All counts of the torture.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How many failures were planted, and how many were named as planted.
    counts: BTreeMap<(Kind, Stage), (usize, usize)>,
    mistaken: Vec<String>,
    /// The number of killed commands, or the workers that outlived them.
    pub(crate) killed: Option<Result<usize, String>>,
    /// The resources that the supervising process gained.
    pub(crate) grown: Option<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, number: usize, plan: &Plan, seen: Result<(), String>) {
        let (planted, right) = self.counts.entry((plan.kind, plan.stage)).or_default();
        *planted += 1;
        *right += usize::from(seen.is_ok());
        if let Err(reason) = seen {
            self.mistaken.push(format!("{number}: {plan:?}: {reason}"));
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.mistaken.is_empty() && matches!(self.killed, Some(Ok(_))) && self.grown.is_none()
    }

    /// Kinds against stages; a cell is the planted number, or `named/planted` if these differ.
    pub(crate) fn text(&self) -> String {
        let cell = |(planted, right): (usize, usize)| match planted == right {
            _ if planted == 0 => "·".to_owned(),
            true => planted.to_string(),
            false => format!("{right}/{planted}"),
        };
        let sum = |of: &dyn Fn(&Kind, &Stage) -> bool| {
            let counts = self.counts.iter().filter(|((kind, stage), _)| of(kind, stage));
            counts.fold((0, 0), |sum, (_, count)| (sum.0 + count.0, sum.1 + count.1))
        };
        let mut text = format!("{:<10}", "");
        for (_, name) in STAGES {
            let _ = write!(text, "{name:>9}");
        }
        let _ = writeln!(text, "{:>9}", "all");
        for (kind, name) in KINDS {
            let _ = write!(text, "{name:<10}");
            for (stage, _) in STAGES {
                let _ = write!(text, "{:>9}", cell(sum(&|k, s| k == kind && s == stage)));
            }
            let _ = writeln!(text, "{:>9}", cell(sum(&|k, _| k == kind)));
        }
        let _ = write!(text, "{:<10}", "all");
        for (stage, _) in STAGES {
            let _ = write!(text, "{:>9}", cell(sum(&|_, s| s == stage)));
        }
        let (planted, right) = sum(&|_, _| true);
        let _ = writeln!(text, "{:>9}\n", cell((planted, right)));
        let _ = writeln!(text, "{right} of {planted} ends named as planted, each in its operator");
        let _ = match &self.killed {
            Some(Ok(count)) => {
                writeln!(text, "{count} commands killed by SIGKILL: their workers ended, too")
            }
            Some(Err(reason)) => writeln!(text, "outlived a command killed by SIGKILL: {reason}"),
            None => Ok(()),
        };
        match &self.grown {
            None => text
                .push_str("the supervising process holds no file and no thread more than before\n"),
            Some(grown) => {
                let _ = writeln!(text, "the supervising process grew: {grown}");
            }
        }
        for mistake in &self.mistaken {
            let _ = writeln!(text, "  not as planted: {mistake}");
        }
        text
    }
}
