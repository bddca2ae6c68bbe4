//! The parts of the page around the drawings: targets and outputs, sources, doubts ruled out, environment.

use super::numbers::{count, size};
use super::page::{address, prose};
use crate::compare::{Agreement, Comparison, Worst};
use crate::report::checks::{checks, reproduce};
use crate::report::document::{OutputReport, Report, TargetReport};
use crate::tensor::ShapeText;
use crate::walk::{OpReport, Role, WalkReport};
use maud::{Markup, html};

/// The most sources in the table above the chart. The table of all operators has the others.
const MOST_SOURCES: usize = 40;

/// The class, the sign and the word of an agreement.
fn look(agreement: Agreement) -> (&'static str, &'static str, &'static str) {
    match agreement {
        Agreement::Agrees => ("good", "✓", "agrees"),
        Agreement::Explained => ("good", "✓", "explained"),
        Agreement::Diverges => ("bad", "✕", "diverges"),
        Agreement::Incomparable => ("none", "?", "incomparable"),
    }
}

/// A table that scrolls by itself. Numbers are to the right.
fn table(name: &str, titles: &[&str], rows: Vec<Vec<Markup>>) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table {
                thead { tr { @for title in titles { th scope="col" { (title) } } } }
                tbody { @for row in &rows { tr { @for cell in row { td { (cell) } } } } }
            }
        }
    }
}

fn text(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

fn code(text: impl AsRef<str>) -> Markup {
    html! { code { (text.as_ref()) } }
}

/// Targets against outputs, if there are several targets.
pub(super) fn matrix(report: &Report) -> Option<Markup> {
    if report.targets.len() < 2 {
        return None;
    }
    let mut names: Vec<&str> = Vec::new();
    for output in report.targets.iter().flat_map(|target| &target.outputs) {
        if !names.contains(&output.name.as_str()) {
            names.push(output.name.as_str());
        }
    }
    Some(html! {
        section #matrix {
            h2 { "Targets and outputs" }
            div.scroll tabindex="0" role="region" aria-label="Targets and outputs" {
                table {
                    thead { tr {
                        th scope="col" { "target" } th scope="col" { "ran on" }
                        @for name in &names { th scope="col" { (name) } }
                    } }
                    tbody { @for target in &report.targets { tr {
                        th scope="row" { code { (target.target) } (strategy(report, target)) }
                        td { (place(target)) }
                        @for name in &names { (matrix_cell(target, name)) }
                    } } }
                }
            }
            p.soft { "After each word: the relative L2 error." }
        }
    })
}

fn strategy(report: &Report, target: &TargetReport) -> String {
    let walk = target.walk.as_ref().filter(|_| report.strategies.is_some());
    walk.map_or_else(String::new, |walk| format!(" ({})", walk.strategy))
}

fn place(target: &TargetReport) -> String {
    target.ran_on.as_ref().map_or_else(
        || "-".to_owned(),
        |on| {
            // A target `ext:` does not name the engine of its worker process.
            let engine = match target.target.starts_with("ext:") {
                true => format!("{}, ", on.engine),
                false => String::new(),
            };
            format!("{engine}{}, {}", on.backend, clean(&on.device))
        },
    )
}

/// Text of a driver without the zero bytes that it may contain.
fn clean(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

fn matrix_cell(target: &TargetReport, name: &str) -> Markup {
    let Some(output) = target.outputs.iter().find(|output| output.name.as_str() == name) else {
        return html! { td.none { "? " (target.outcome) } };
    };
    let (class, mark, word) = look(target.agreement(output));
    html! {
        td class=(class) {
            (mark) " " (word)
            @if let Some(comparison) = &output.comparison { small { " " (size(comparison.rel_l2)) } }
        }
    }
}

/// How much of the network was compared.
pub(super) fn summary(walk: &WalkReport) -> Markup {
    let runs = if walk.candidate_runs == 1 { "run" } else { "runs" };
    html! {
        p.soft {
            @if walk.ops.is_empty() { (walk.ops_total) " nodes searched" } @else {
                (count(walk.ops_compared as u64)) " of " (count(walk.ops_total as u64)) " operators compared, "
                (format!("{:.0}", 100.0 * walk.mapped_share)) " % traced to ONNX nodes"
            }
            "; values stored as " (walk.storage.name()) "; " (walk.candidate_runs) " " (runs) " of the target"
            @if !walk.ops.is_empty() {
                @match walk.sources.len() {
                    0 => "; none introduces error beyond rounding",
                    1 => "; 1 introduces error",
                    sources => { "; " (sources) " introduce error" }
                }
            }
            "."
        }
    }
}

/// The truncations of a search.
pub(super) fn probes(walk: &WalkReport) -> Option<Markup> {
    let rows = walk.probes.iter().map(|probe| {
        let reason =
            probe.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
        let number = |value: Option<f64>| text(value.map_or_else(|| "-".to_owned(), size));
        vec![
            text(format!("{} of {}", probe.at + 1, walk.ops_total)),
            code(&probe.node),
            text(format!("{}{reason}", probe.answer.name())),
            number(probe.cumulative),
            number(probe.floor),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let titles = ["node", "truncated after", "says", "rel. L2", "floor"];
    let name = format!("Truncations of {} nodes", walk.ops_total);
    (!rows.is_empty()).then(|| table(&name, &titles, rows))
}

/// The operators that introduce error.
pub(super) fn sources(walk: &WalkReport, number: usize) -> Option<Markup> {
    let sources: Vec<&OpReport> = walk.ops.iter().filter(|op| op.role == Role::Source).collect();
    if sources.is_empty() {
        return None;
    }
    let left_out = sources.len().saturating_sub(MOST_SOURCES);
    let titles = ["op", "name", "type", "introduced", "floor", "cumulative", "looks like"];
    let known = sources.iter().any(|op| !op.diagnosis.is_empty());
    let titles = &titles[..titles.len() - usize::from(!known)];
    let row = |op: &&OpReport| source(op, number).into_iter().take(titles.len()).collect();
    let rows = sources.iter().take(MOST_SOURCES).map(row).collect();
    Some(html! {
        div.sources { (table(&format!("Operators that introduce error, walk {}", number + 1), titles, rows)) }
        @if left_out > 0 { p.soft { "and " (left_out) " more, in the table of operators." } }
    })
}

fn source(op: &OpReport, number: usize) -> Vec<Markup> {
    let error = |value: Option<f64>, disagreeing: u64| match disagreeing {
        0 => text(value.map_or_else(|| "-".to_owned(), size)),
        _ => text("NaN/inf"),
    };
    let origin = op.exported.as_ref().map(crate::graph::Exported::words);
    let name = html! {
        a id=(address(number, op).trim_start_matches('#')) href=(address(number, op)) { code { (op.name) } }
        @if let Some(node) = op.onnx_node.as_ref().filter(|node| !op.name.starts_with(*node)) { small { "ONNX " (node) } }
        @if let Some(origin) = origin { small { (prose(&origin)) } }
    };
    let looks = op.diagnosis.iter().map(|pattern| pattern.words.as_str()).collect::<Vec<_>>();
    vec![
        text(op.index.to_string()),
        name,
        text(&op.op_type),
        error(op.introduced, op.disagreeing_here()),
        text(size(op.floor)),
        error(op.cumulative, op.disagreeing),
        prose(&looks.join("; ")),
    ]
}

/// The outputs: the outermost elements one under the other, metrics, worst elements.
pub(super) fn outputs(report: &Report) -> Markup {
    let lines = previews(report);
    html! {
        h2 { "Outputs" }
        @if lines.is_empty() { p.soft { "No target gave an output that could be compared." } } @else {
            @let wide = lines.iter().map(|(who, _)| who.chars().count()).max().unwrap_or(0).min(48);
            pre tabindex="0" { @for (who, text) in &lines { (format!("{who:<wide$}  {text}\n")) } }
            @for target in &report.targets { @for output in &target.outputs { (output_detail(target, output)) } }
        }
    }
}

fn previews(report: &Report) -> Vec<(String, &str)> {
    let several = report.targets.iter().any(|target| target.outputs.len() > 1);
    let mut lines: Vec<(String, &str)> = Vec::new();
    for target in &report.targets {
        for output in &target.outputs {
            let Some(comparison) = &output.comparison else { continue };
            let of = if several { format!(" {}", output.name) } else { String::new() };
            let reference = (format!("reference{of}"), comparison.reference_preview.as_str());
            if !lines.contains(&reference) {
                lines.push(reference);
            }
            lines.push((format!("{}{of}", target.target), &comparison.preview));
        }
    }
    lines
}

fn output_detail(target: &TargetReport, output: &OutputReport) -> Markup {
    let (class, mark, word) = look(target.agreement(output));
    html! {
        details open[class == "bad"] {
            summary {
                code { (target.target) " " (output.name) } " " (ShapeText(&output.shape)) ": " strong { (mark) " " (word) }
            }
            p { (prose(&output.judgement.words)) }
            @if let Some(comparison) = &output.comparison {
                (facts("facts", &metrics(output, comparison)))
                @if !comparison.worst.is_empty() { (worst(target, output, &comparison.worst)) }
            }
        }
    }
}

fn metrics(output: &OutputReport, c: &Comparison) -> Vec<(String, String)> {
    let ulps = |value: Option<u64>| value.map(count);
    let census = |census: &crate::compare::Census| {
        format!("{} NaN, {} +inf, {} -inf", census.nan, census.pos_inf, census.neg_inf)
    };
    let needed = output.judgement.needed.filter(|_| output.agreement == Agreement::Diverges);
    let facts = [
        ("differ", Some(format!("{} of {}", count(c.mismatched), count(c.elements)))),
        ("beyond the tolerance", output.beyond_tolerance.map(count)),
        ("relative L2", Some(size(c.rel_l2))),
        ("largest difference", Some(size(c.max_abs))),
        ("largest relative", Some(size(c.max_rel))),
        ("cosine", Some(c.cosine.to_string())),
        ("ulps of f32", ulps(c.max_ulp_f32)),
        ("ulps of f16", ulps(c.max_ulp_f16)),
        ("non-finite, reference", Some(census(&c.nonfinite.reference))),
        ("non-finite, candidate", Some(census(&c.nonfinite.candidate))),
        ("would pass with", needed.map(|n| format!("--rtol {} --atol {}", n.rtol, size(n.atol)))),
    ];
    facts.into_iter().filter_map(|(term, value)| Some((term.to_owned(), value?))).collect()
}

fn worst(target: &TargetReport, output: &OutputReport, elements: &[Worst]) -> Markup {
    let rows = elements.iter().map(|element| {
        let value = |value: f64, bits: &str| html! { span title=(bits) { (format!("{value:e}")) } };
        vec![
            text(format!("{:?}", element.index)),
            value(element.reference, &element.reference_bits),
            value(element.candidate, &element.candidate_bits),
        ]
    });
    let name = format!("Worst elements of {} on {}", output.name, target.target);
    table(&name, &["index", "reference", "candidate"], rows.collect())
}

fn facts(class: &str, pairs: &[(String, String)]) -> Markup {
    html! {
        dl class=(class) { @for (term, value) in pairs { div { dt { (term) } dd { (value) } } } }
    }
}

/// The doubts about each finding, and the evidence.
pub(super) fn trust(report: &Report) -> Markup {
    html! {
        h2 { "What was ruled out" }
        @for target in &report.targets {
            @if report.targets.len() > 1 { h3 { code { (target.target) } (strategy(report, target)) } }
            @let rows = checks(target).into_iter().map(|check| vec![text(check.question), text(check.answer), prose(&check.because)]);
            (table(&format!("Doubts about {}{}", target.target, strategy(report, target)), &["question", "answer", "because"], rows.collect()))
        }
        @if let Some(strategies) = &report.strategies {
            h3 { "The strategies together" }
            ul { @for line in &strategies.sentences { li { (prose(line)) } } }
        }
    }
}

/// How to reproduce the finding, and where it was found.
pub(super) fn about(report: &Report) -> Markup {
    html! {
        h2 { "How to reproduce" }
        pre tabindex="0" { (reproduce(report).join("\n")) }
        h2 { "Environment" }
        (facts("facts wide", &environment(report)))
        @for target in report.targets.iter().filter(|target| !target.evidence.is_empty()) {
            details {
                summary { "What engine and driver said on " code { (target.target) } }
                pre tabindex="0" { (target.evidence.iter().map(|line| clean(line)).collect::<Vec<_>>().join("\n")) }
            }
        }
    }
}

fn environment(report: &Report) -> Vec<(String, String)> {
    let mut pairs = vec![("offby".to_owned(), report.tool.version.clone())];
    let mut add = |term: &str, value: String| pairs.push((term.to_owned(), value));
    if let Some(about) = &report.environment {
        add("system", about.os.clone());
        add("processor", format!("{}, {} threads", about.cpu, about.cores));
        if let Some(converter) = &about.converter {
            add("converter", converter.clone());
        }
    }
    if let Some(on) = &report.reference_ran_on {
        add("reference", format!("{}, version {}", report.reference, on.engine_version));
    }
    for target in &report.targets {
        let Some(on) = &target.ran_on else { continue };
        let driver = match clean(&on.driver) {
            driver if driver.is_empty() => String::new(),
            driver => format!(", driver {driver}"),
        };
        let (engine, device) = (format!("{} {}", on.engine, on.engine_version), clean(&on.device));
        add(&target.target, format!("{engine}, {}, {device}{driver}", on.backend));
    }
    add("network", format!("{}, SHA-256 {}", report.model.path, report.model.digest.hex()));
    for input in &report.inputs {
        let what = format!("{} {} = {}", ShapeText(&input.shape), input.dtype, input.spec);
        add(&format!("input {}", input.name), what);
    }
    for (name, value) in report.environment.iter().flat_map(|about| &about.variables) {
        add(name, value.clone());
    }
    pairs
}
