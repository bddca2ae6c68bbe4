//! A run over a data set on a terminal.

use super::{blame, facts, failed, kind, legend, remarks, sentence, table, title, worst_table};
use crate::agree::{Agree, AgreeLane, MOST_WORST, Task};
use crate::report::Paint;
use crate::report::text::{table_with_names, wrapped};

/// How many worst inputs and failed inputs are shown without -v.
const FEW: usize = 5;

/// `offby agree` as text; `verbose` shows more of the worst inputs.
pub fn agree_text(agree: &Agree, width: usize, verbose: bool, paint: Paint) -> String {
    let heading = format!("{}: {}", title(agree), facts(agree).join("; "));
    let mut text = wrapped(&heading, width) + "\n";
    let (titles, rows) = table(agree);
    text.push_str(&table_with_names(&titles, rows, 0, width));
    text.push_str(&format!("\n{}", wrapped(&legend(agree), width)));
    for lane in &agree.targets {
        text.push_str(&target(
            agree.task,
            lane,
            (width, if verbose { MOST_WORST } else { FEW }),
            paint,
        ));
    }
    text
}

fn target(task: Task, lane: &AgreeLane, (width, most): (usize, usize), paint: Paint) -> String {
    let line = wrapped(&format!("{} {}", lane.target, sentence(lane)), width);
    let mut text = format!("\n{}", paint(kind(lane), &line));
    for remark in remarks(lane) {
        text.push_str(&wrapped(&remark, width));
    }
    let (titles, rows) = worst_table(task, lane, most);
    if !rows.is_empty() {
        text.push_str(&table_with_names(&titles, rows, 0, width));
    }
    for line in failed(lane).iter().take(most) {
        text.push_str(&wrapped(line, width));
    }
    if let Some(found) = &lane.blame {
        text.push_str(&wrapped(&blame(found), width));
    }
    text
}
