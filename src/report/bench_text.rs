//! The times of `offby bench`: a table for the terminal, a line for every other rendering.

use super::Paint;
use super::document::{Report, TargetReport};
use super::text::{heading, table_with_names, verdict_text, wrapped};
use crate::verdict::Kind;

/// `offby bench` as text.
pub fn bench_text(report: &Report, width: usize, paint: Paint) -> String {
    let mut text = heading(report);
    let titles = ["target", "says", "min", "median", "mean", "p95", "max", "opening", "ratio"];
    let rows = report.targets.iter().map(row).collect();
    text.push_str(&table_with_names(&titles, rows, 0, width));
    text.push_str(&wrapped(&units(report), width));
    // What is right needs no more words than the table has.
    for target in report.targets.iter().filter(|target| target.verdict.kind != Kind::Agrees) {
        text.push_str(&verdict_text(target, width, paint));
    }
    text
}

fn row(target: &TargetReport) -> Vec<String> {
    let mut row = vec![target.target.clone(), target.verdict.kind.name().to_owned()];
    match &target.bench {
        Some(bench) => {
            let latency = &bench.latency;
            let times = [latency.min, latency.median, latency.mean, latency.p95, latency.max];
            row.extend(times.map(milliseconds));
            row.push(format!("{:.2} s", bench.first_result));
            row.push(bench.ratio.map_or("1".into(), |ratio| format!("{:.2}", ratio.median)));
        }
        None => row.extend(std::iter::repeat_n("-".to_owned(), 7)),
    }
    row
}

/// What the columns mean.
fn units(report: &Report) -> String {
    let timed = report.targets.iter().find_map(|target| Some((target, target.bench.as_ref()?)));
    let Some((first, bench)) = timed else { return "no target was timed".into() };
    format!(
        "\nmilliseconds of {} runs, feeding and reading included, the targets taking turns; opening: up to the first outputs, kernels compiled; ratio: to {}, median over the turns",
        bench.latency.iterations, first.target
    )
}

/// Three or four digits.
fn milliseconds(seconds: f64) -> String {
    let milliseconds = 1e3 * seconds;
    match milliseconds {
        small if small < 10.0 => format!("{small:.3}"),
        middle if middle < 1000.0 => format!("{middle:.2}"),
        large => format!("{large:.1}"),
    }
}

/// One target's times in a line, where it has any.
pub(super) fn bench_line(target: &TargetReport) -> Option<String> {
    let bench = target.bench.as_ref()?;
    let latency = &bench.latency;
    let ratio = bench.ratio.map_or_else(String::new, |ratio| {
        let (low, high) = (ratio.low, ratio.high);
        format!("; {:.2} times the first target ({low:.2} to {high:.2})", ratio.median)
    });
    Some(format!(
        "[{} iters] min = {}ms max = {}ms median = {}ms mean = {}ms p95 = {}ms; first outputs after {:.2} s{ratio}",
        latency.iterations,
        milliseconds(latency.min),
        milliseconds(latency.max),
        milliseconds(latency.median),
        milliseconds(latency.mean),
        milliseconds(latency.p95),
        bench.first_result,
    ))
}
