//! The times of `offby bench`: a table for the terminal, a line for every other rendering.

use super::Paint;
use super::document::{Report, TargetReport};
use super::text::{heading, table_with_names, verdict_text, wrapped};
use crate::bench::Latency;
use crate::verdict::Kind;

/// `offby bench` as text; `verbose` shows every target's times with all digits.
pub fn bench_text(report: &Report, width: usize, verbose: bool, paint: Paint) -> String {
    let mut text = heading(report);
    let titles = ["target", "says", "runs", "min", "median", "mean", "p95", "max", "open", "ratio"];
    let rows = report.targets.iter().map(row).collect();
    text.push_str(&table_with_names(&titles, rows, 0, width));
    text.push_str(&wrapped(&units(report), width));
    text.push_str(&unsteady(report).map_or_else(String::new, |note| wrapped(&note, width)));
    for target in report.targets.iter().filter(|_| verbose) {
        let line = bench_line(target).map(|line| format!("{}: {line}", target.target));
        text.push_str(
            &line.map_or_else(String::new, |line| format!("\n{}", wrapped(&line, width))),
        );
    }
    // A target that agrees needs no more words than the table has.
    for target in report.targets.iter().filter(|target| target.verdict.kind != Kind::Agrees) {
        text.push_str(&verdict_text(report, target, width, paint));
    }
    text
}

/// A note on ratios that vary from turn to turn.
fn unsteady(report: &Report) -> Option<String> {
    let ratios = report.targets.iter().filter_map(|target| {
        let ratio = target.bench.as_ref()?.ratio.filter(|ratio| !ratio.is_steady())?;
        Some(format!("{} ({:.2} to {:.2})", target.target, ratio.low, ratio.high))
    });
    let ratios: Vec<String> = ratios.collect();
    (!ratios.is_empty()).then(|| {
        format!(
            "note: from turn to turn these ratios vary, the middle half of them by more than a tenth: {}; the machine has other work, or the target is not steady",
            ratios.join(", ")
        )
    })
}

fn row(target: &TargetReport) -> Vec<String> {
    let mut row = vec![target.target.clone(), target.verdict.kind.name().to_owned()];
    match &target.bench {
        Some(bench) => {
            let Latency { iterations, min, median, mean, p95, max } = bench.latency;
            row.push(iterations.to_string());
            row.extend([min, median, mean, p95, max].map(|seconds| three_digits(1e3 * seconds)));
            row.push(format!("{:.1} s", bench.first_result));
            row.push(bench.ratio.map_or("1".into(), |ratio| three_digits(ratio.median)));
        }
        None => row.extend(std::iter::repeat_n("-".to_owned(), 8)),
    }
    row
}

/// The meaning of the columns.
fn units(report: &Report) -> String {
    let timed = report.targets.iter().find(|target| target.bench.is_some());
    let Some(first) = timed else { return "\nno target was timed".into() };
    format!(
        "\nmilliseconds, feeding and reading included, the targets taking turns; open: up to the first outputs, kernels compiled; ratio: the shortest run of a turn to that of {}, median over the turns",
        first.target
    )
}

/// Three digits, because seven numbers must fit into eighty columns.
fn three_digits(value: f64) -> String {
    match value {
        tiny if tiny < 1.0 => format!("{tiny:.3}"),
        small if small < 10.0 => format!("{small:.2}"),
        middle if middle < 100.0 => format!("{middle:.1}"),
        large => format!("{large:.0}"),
    }
}

/// One target's times in a line, if the target was timed.
pub(super) fn bench_line(target: &TargetReport) -> Option<String> {
    let bench = target.bench.as_ref()?;
    let ratio = bench.ratio.map_or_else(String::new, |ratio| {
        let (low, high) = (ratio.low, ratio.high);
        format!("; {:.2} times the first target ({low:.2} to {high:.2})", ratio.median)
    });
    let Latency { iterations, min, median, mean, p95, max } = bench.latency;
    let [min, max, median, mean, p95] =
        [min, max, median, mean, p95].map(|seconds| format!("{:.3}ms", 1e3 * seconds));
    Some(format!(
        "[{iterations} iters] min = {min} max = {max} median = {median} mean = {mean} p95 = {p95}; first outputs after {:.2} s{ratio}",
        bench.first_result,
    ))
}
