//! The findings, by operator type and class of inputs.

use super::answers::{Answers, Party};
use super::cases::Case;
use super::classes::Class;
use super::judge::{Apart, Decision, Deed, Judged};
use std::collections::{BTreeMap, BTreeSet};

/// The results of one engine over the tests of a row.
#[derive(Default, Clone)]
pub(crate) struct Cell {
    /// The number of tests in which the engine was right.
    pub(crate) right: usize,
    /// The number of tests that the engine refused.
    pub(crate) refused: usize,
    /// The tests in which the engine was wrong.
    pub(crate) wrong: Vec<String>,
    /// The largest distance from the right value.
    pub(crate) worst: Option<Apart>,
}

/// One row: a type of operator on a class of inputs.
#[derive(Default)]
pub(crate) struct Row {
    /// The cell of each engine.
    pub(crate) cells: BTreeMap<Party, Cell>,
}

/// A test without a decision.
pub(crate) struct Open {
    /// The type of operator.
    pub(crate) op_type: String,
    /// The class.
    pub(crate) class: Class,
    /// The test.
    pub(crate) test: String,
    /// The answers, or why there is no answer.
    pub(crate) words: String,
}

/// All rows.
#[derive(Default)]
pub(crate) struct Rows {
    /// The rows, by type of operator and class.
    pub(crate) rows: BTreeMap<(String, Class), Row>,
    /// Tests in which no two codes agree.
    pub(crate) undecided: Vec<Open>,
    /// Tests with two codes against two.
    pub(crate) contested: Vec<Open>,
    /// Tests whose result the standard leaves open.
    pub(crate) undefined: BTreeMap<(String, String), usize>,
    /// The number of tests with answers from fewer than two codes.
    pub(crate) alone: usize,
    /// The number of trials with a known right value.
    pub(crate) decided: usize,
    /// The number of all trials.
    pub(crate) trials: usize,
    /// The number of trials that could not be made, by reason.
    pub(crate) unable: BTreeMap<String, usize>,
    /// The types of operator without a kernel of our own.
    pub(crate) without_kernel: BTreeSet<String>,
}

impl Rows {
    /// Adds one trial.
    pub(crate) fn add(&mut self, case: &Case, class: Class, answers: &Answers, judged: &Judged) {
        self.trials += 1;
        let open = |words: String| Open {
            op_type: case.op_type.clone(),
            class,
            test: case.name.clone(),
            words,
        };
        if matches!(answers.of(Party::Own), super::answers::Answer::Absent) {
            self.without_kernel.insert(case.op_type.clone());
        }
        match &judged.decision {
            Decision::Right(_) => self.decided += 1,
            Decision::Alone => self.alone += 1,
            Decision::Undecided => self.undecided.push(open(given(answers))),
            Decision::Open(what) => {
                *self.undefined.entry((case.op_type.clone(), what.clone())).or_default() += 1;
            }
        }
        if judged.is_contested {
            self.contested.push(open(judged.words()));
        }
        let row = self.rows.entry((case.op_type.clone(), class)).or_default();
        for party in Party::COLUMNS {
            let cell = row.cells.entry(party).or_default();
            match judged.of(party) {
                Deed::Right => cell.right += 1,
                Deed::Refused => cell.refused += 1,
                Deed::Absent => {}
                Deed::Wrong(apart) => {
                    cell.wrong.push(case.name.clone());
                    cell.worst = Some(cell.worst.map_or(apart, |worst| worst.worse(apart)));
                }
            }
        }
    }

    /// Adds a trial that could not be made.
    pub(crate) fn unable(&mut self, case: &Case, class: Class, reason: String) {
        self.trials += 1;
        let line = format!("{} ({}): {reason}", case.op_type, class.name());
        *self.unable.entry(line).or_default() += 1;
    }

    /// The types of operator that an engine computes wrongly, with the classes.
    pub(crate) fn wrong(&self, party: Party) -> BTreeMap<&str, Vec<Class>> {
        let mut found: BTreeMap<&str, Vec<Class>> = BTreeMap::new();
        for ((op_type, class), row) in &self.rows {
            if row.cells.get(&party).is_some_and(|cell| !cell.wrong.is_empty()) {
                found.entry(op_type).or_default().push(*class);
            }
        }
        found
    }

    /// The number of trials that an engine refuses.
    pub(crate) fn refusals(&self, party: Party) -> usize {
        self.rows.values().filter_map(|row| row.cells.get(&party)).map(|cell| cell.refused).sum()
    }
}

/// The parties that returned values, and how many numbers they returned.
fn given(answers: &Answers) -> String {
    let gave = Party::ALL.iter().filter_map(|&party| {
        let outputs = answers.outputs(party)?;
        let first = outputs.first().map_or_else(|| "nothing".to_owned(), first_numbers);
        Some(format!("{} {first}", party.name()))
    });
    gave.collect::<Vec<_>>().join("; ")
}

fn first_numbers(tensor: &offby::tensor::Tensor) -> String {
    let numbers = tensor.numbers(1);
    let first: Vec<String> = numbers.iter().take(3).map(|n| format!("{}", *n as f32)).collect();
    let more = if numbers.len() > first.len() { ", ..." } else { "" };
    format!("[{}{more}]", first.join(", "))
}
