//! Decoding on a terminal.

use super::map::Map;
use super::{facts, legend, remarks, sentence, table, title};
use crate::decode::{Decode, DecodeLane};
use crate::report::Paint;
use crate::report::drawing::BLOCKS;
use crate::report::text::{table_with_names, wrapped};

/// The width of a row's name.
const NAME: usize = 10;

/// `offby decode` as text.
pub fn decode_text(decode: &Decode, width: usize, paint: Paint) -> String {
    let heading = format!("{}: {}", title(decode), facts(decode).join("; "));
    let mut text = wrapped(&heading, width) + "\n";
    let (titles, rows) = table(decode);
    text.push_str(&table_with_names(&titles, rows, 0, width));
    text.push_str(&format!("\n{}", wrapped(legend(), width)));
    for lane in &decode.targets {
        let line = wrapped(&format!("{} {}", lane.target, sentence(lane)), width);
        text.push_str(&format!("\n{}", paint(lane.kind, &line)));
        for remark in remarks(lane) {
            text.push_str(&wrapped(&format!("  {remark}"), width));
        }
        if lane.part.is_some() {
            text.push_str(&map(decode, lane, width));
        }
    }
    text
}

/// The map, a bar for each step or group of steps.
fn map(decode: &Decode, lane: &DecodeLane, width: usize) -> String {
    let map = Map::introduced(decode, lane);
    let steps = lane.steps.len();
    let room = width.saturating_sub(NAME + 4).max(8);
    let group = steps.div_ceil(room).max(1);
    let mut text = format!(
        "  error of each step, the prompt first{}\n",
        match group {
            1 => String::new(),
            group => format!(" ({group} steps a column)"),
        }
    );
    for (name, cells) in map.rows.iter().zip(&map.cells) {
        let height = |cells: &[super::map::MapCell]| {
            let worst = cells.iter().map(|cell| cell.heat).max().unwrap_or_default();
            BLOCKS[usize::from(worst.step())]
        };
        let line: String = cells.chunks(group).map(height).collect();
        text.push_str(&format!("  {name:<NAME$}{line}\n"));
    }
    text
}
