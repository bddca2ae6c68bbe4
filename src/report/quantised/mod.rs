//! The layers of a quantised network: on a terminal, in Markdown, and as a page.

mod html;

pub use html::quantised_html;

use super::markdown::{code, prose, table};
use super::text::{ran_on_lines, table_with_names, wrapped};
use crate::quantised::{ActivationRange, FrontPoint, LayerReport, QuantisedDocument, Score};

/// How many layers are listed if the user does not ask for all.
const MOST_LISTED: usize = 12;
/// The share of saturated elements from which it is marked.
const MUCH: f64 = 0.001;

const LAYER_TITLES: [&str; 7] = [
    "layer",
    "operator",
    "only it quantised",
    "only it in float",
    "range of its input",
    "saturated",
    "to 0",
];

/// A search in a quantised network as text. `all` lists every layer.
pub fn quantised_text(found: &QuantisedDocument, width: usize, all: bool) -> String {
    let mut text = wrapped(&heading(found), width);
    let titles = front_titles(found);
    text.push_str(&format!("\n{}\n", table_with_names(&titles, front_rows(found), 0, width)));
    let layers = costliest(found, if all { usize::MAX } else { MOST_LISTED });
    let rows = layers.iter().map(|layer| layer_row(found, layer)).collect();
    text.push_str(&table_with_names(&LAYER_TITLES, rows, 0, width));
    if layers.len() < found.layers.len() {
        let more = found.layers.len() - layers.len();
        text.push_str(&format!("… {more} more; -v lists them all\n"));
    }
    text.push_str(&wrapped(&legend(found), width));
    text.push_str(&format!("\n{}", wrapped(&found.sentence, width)));
    for line in remarks(found) {
        text.push_str(&wrapped(&format!("  {line}"), width));
    }
    text
}

/// The same in Markdown.
pub fn quantised_markdown(found: &QuantisedDocument) -> String {
    let layers = costliest(found, usize::MAX);
    let coded = |layer: &&LayerReport| {
        let row = layer_row(found, layer).into_iter().enumerate();
        row.map(|(at, cell)| if at == 0 { code(&cell) } else { prose(&cell) }).collect()
    };
    let rows: Vec<Vec<String>> = layers.iter().map(coded).collect();
    let front: Vec<Vec<String>> =
        front_rows(found).iter().map(|row| row.iter().map(|cell| prose(cell)).collect()).collect();
    [
        format!("# {}\n", prose(&heading(found))),
        format!("{}\n", prose(&found.sentence)),
        remarks(found).iter().map(|line| format!("- {}\n", prose(line))).collect(),
        table(front_titles(found).as_slice(), &front),
        table(LAYER_TITLES, &rows),
        format!("{}\n", prose(&legend(found))),
    ]
    .join("\n")
}

fn heading(found: &QuantisedDocument) -> String {
    let inputs = super::plural(found.inputs, "input");
    format!(
        "{} against {} on {}; {inputs} ({})",
        found.quantised, found.float, found.target, found.data
    )
}

fn legend(found: &QuantisedDocument) -> String {
    let class = match has_classes(found) {
        true => "; in brackets: the share of inputs with the float network's class",
        false => "",
    };
    format!(
        "numbers of layers: the network's relative L2 error{class}; saturated: the share of elements outside of what the integers can hold; to 0: the share that is not 0 and rounds to 0"
    )
}

fn has_classes(found: &QuantisedDocument) -> bool {
    found.front.iter().any(|point| point.score.same_class.is_some())
}

fn front_titles(found: &QuantisedDocument) -> Vec<&'static str> {
    let mut titles = vec!["network", "rel. L2"];
    if has_classes(found) {
        titles.push("same class");
    }
    if found.front.iter().any(|point| point.score.accuracy.is_some()) {
        titles.push("right class");
    }
    titles.push("median");
    titles
}

fn front_rows(found: &QuantisedDocument) -> Vec<Vec<String>> {
    let titles = front_titles(found);
    let row = |point: &FrontPoint| {
        let share = |share: Option<f64>| share.map_or("-".into(), percent);
        let mut row = vec![network(found, point), error(&point.score)];
        if titles.contains(&"same class") {
            row.push(share(point.score.same_class));
        }
        if titles.contains(&"right class") {
            row.push(share(point.score.accuracy));
        }
        row.push(point.seconds.map_or("-".into(), |seconds| format!("{:.3} ms", seconds * 1e3)));
        row
    };
    found.front.iter().map(row).collect()
}

fn network(found: &QuantisedDocument, point: &FrontPoint) -> String {
    let all = found.layers.len();
    let mark = if point.is_found { ", the smallest set" } else { "" };
    match point.kept {
        None => "float".into(),
        Some(0) => format!("quantised{mark}"),
        Some(kept) => format!("{kept} of {all} in float{mark}"),
    }
}

fn layer_row(found: &QuantisedDocument, layer: &LayerReport) -> Vec<String> {
    let score = |score: &Option<Score>| match score {
        None if found.interrupted => "-".to_owned(),
        None => "it does not run".to_owned(),
        Some(score) => match score.same_class.filter(|_| has_classes(found)) {
            Some(same) => format!("{} ({})", error(score), percent(same)),
            None => error(score),
        },
    };
    // The range of the input that loses most, and the largest share of all inputs.
    let lost = |range: &&ActivationRange| range.saturated + range.to_zero;
    let range = layer.ranges.iter().max_by(|a, b| lost(a).total_cmp(&lost(b)));
    let largest = |share: &dyn Fn(&ActivationRange) -> f64| {
        layer.ranges.iter().map(share).reduce(f64::max).unwrap_or(0.0)
    };
    let unknown = || ("-".to_owned(), "-".to_owned(), "-".to_owned());
    let (range, saturated, to_zero) = range.map_or_else(unknown, |range| {
        let ((low, high), (from, to)) = (range.measured, range.stored);
        let saturated = largest(&|range| range.saturated);
        let mark = if saturated >= MUCH { " !" } else { "" };
        (
            format!("{} to {} in {} to {}", limit(low), limit(high), limit(from), limit(to)),
            format!("{}{mark}", percent(saturated)),
            percent(largest(&|range| range.to_zero)),
        )
    });
    vec![
        layer.node.clone(),
        layer.op_type.clone(),
        score(&layer.only_quantised),
        score(&layer.only_float),
        range,
        saturated,
        to_zero,
    ]
}

/// The limit of a range, with three digits.
fn limit(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        0.01..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        100.0..1e5 => format!("{value:.0}"),
        _ => format!("{value:.2e}"),
    }
}

/// The layers that cost most.
fn costliest(found: &QuantisedDocument, most: usize) -> Vec<&LayerReport> {
    let cost = |layer: &LayerReport| {
        let score = layer.only_quantised.as_ref();
        score.map_or(f64::INFINITY, |score| score.relative_l2.unwrap_or(f64::INFINITY))
    };
    let mut layers: Vec<&LayerReport> = found.layers.iter().collect();
    layers.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
    layers.truncate(most);
    layers
}

fn remarks(found: &QuantisedDocument) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(kept) = found.kept.as_ref().filter(|kept| !kept.is_empty()) {
        let names: Vec<String> = kept.iter().map(|name| format!("`{name}`")).collect();
        lines.push(format!("in float: {}", names.join(", ")));
        lines.push(match found.proven >= kept.len() {
            true => "no smaller part of this set is enough".into(),
            false => format!(
                "leaving out any {} of them is not enough; smaller parts were not all tried",
                found.proven
            ),
        });
    }
    let stuck = found.unmovable.iter();
    lines.extend(stuck.map(|one| format!("`{}` stays quantised: {}", one.node, one.reason)));
    lines.extend(found.no_ranges.as_ref().map(|why| format!("the ranges are unknown: {why}")));
    lines.push(format!("{} were run", super::plural(found.networks, "network")));
    lines.extend(ran_on_lines(found.ran_on.as_ref()));
    lines
}

fn error(score: &Score) -> String {
    match score.relative_l2 {
        Some(0.0) => "0".into(),
        Some(error) => format!("{error:.1e}"),
        None => "not finite".into(),
    }
}

fn percent(share: f64) -> String {
    match share {
        0.0 => "0 %".into(),
        share if share < 0.0005 => "< 0.1 %".into(),
        share => format!("{:.1} %", 100.0 * share),
    }
}
