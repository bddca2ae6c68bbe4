//! The result of a search for a fallback, in words and as a table, the same for every renderer.

use super::document::TargetReport;
use crate::compare::Tolerance;
use crate::verdict::is_wrong_on_own_cpu;
use crate::walk::{By, Fallback, Goal, Member, Role, WalkReport};

/// How many operators are named one by one.
const NAMED: usize = 12;

/// The table's titles, in [`member_rows`]' order.
const MEMBER_TITLES: [&str; 4] = ["what", "MNN type", "operators", "introduced"];
/// The titles of the trade, in [`trade_rows`]' order.
const TRADE_TITLES: [&str; 4] = ["moved", "operators", "rel. L2 left", "enough"];

/// The members of the set, one row each.
fn member_rows(fallback: &Fallback) -> Vec<[String; 4]> {
    let row = |member: &Member| {
        let number = member.type_number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        [
            member.name.clone(),
            match fallback.by {
                By::Type => number,
                By::Op => format!("{} {number}", member.op_type),
            },
            member.operators.len().to_string(),
            error(Some(member.introduced)),
        ]
    };
    fallback.members.iter().flatten().map(row).collect()
}

/// The error left, against the number of moved members.
fn trade_rows(fallback: &Fallback) -> Vec<[String; 4]> {
    let rows = fallback.curve.iter().map(|point| {
        let enough = if point.reached { "yes" } else { "no" };
        let (members, operators) = (point.members.to_string(), point.operators.to_string());
        [members, operators, error(point.error), enough.to_owned()]
    });
    rows.collect()
}

/// Titles and rows of the table: the members of a small set, or else the trade.
pub(super) fn worth_a_table(fallback: &Fallback) -> Option<([&'static str; 4], Vec<[String; 4]>)> {
    let members = member_rows(fallback);
    if fallback.is_small() {
        return (!members.is_empty()).then_some((MEMBER_TITLES, members));
    }
    (!fallback.curve.is_empty()).then(|| (TRADE_TITLES, trade_rows(fallback)))
}

/// The finding, its proof, its cost, and the condition to add to the engine.
pub(super) fn sentences(target: &TargetReport, fallback: &Fallback) -> Vec<String> {
    let mut said = vec![finding(target, fallback)];
    said.extend(proof(fallback));
    said.push(effort(fallback));
    said.extend(cost(fallback));
    said.extend(condition(target, fallback));
    said.extend(limits(fallback));
    said
}

fn finding(report: &TargetReport, fallback: &Fallback) -> String {
    let target = &report.target;
    let (before, after) = (error(fallback.error_before), error(fallback.error_after));
    let what = if fallback.raise { "raised to high precision" } else { "on the CPU" };
    let all = fallback.choices.1;
    match &fallback.members {
        Some(members) if members.is_empty() => format!(
            "{target}: the output is right as it is (relative L2 {before}, goal {}); nothing needs to be {what}.",
            goal(fallback)
        ),
        Some(_) if !fallback.is_small() => format!(
            "{target}: no small set helps: {} of {all} operators must be {what} for the output to be right (relative L2 {before} before, {after} then; goal {}). The best trade is in the table.",
            fallback.operators(),
            goal(fallback)
        ),
        Some(members) => {
            let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
            format!(
                "{target}: with {} {what} the output is right: relative L2 {before} before, {after} then (goal {}).",
                listed(&names),
                goal(fallback)
            )
        }
        None => format!(
            "{target}: no set helps: with all {all} operators that can be moved {what} the relative L2 is {after}, {before} before (goal {}). {}",
            goal(fallback),
            rest(report.walk.as_ref(), fallback)
        ),
    }
}

/// Where the error may come from that no move removes.
fn rest(walk: Option<&WalkReport>, fallback: &Fallback) -> String {
    if fallback.raise {
        return "What is left may come from the operators themselves, the storage between them, the conversion, or the reference.".into();
    }
    let ops = walk.iter().flat_map(|walk| &walk.ops);
    let wrong: Vec<&str> = ops
        .filter(|op| op.role == Role::Source && is_wrong_on_own_cpu(op))
        .map(|op| op.name.as_str())
        .collect();
    match wrong.is_empty() {
        true => "What is left may come from the CPU's own operators, the storage between them, the conversion, or the reference.".into(),
        false => format!("The engine's own CPU is wrong at {}, too.", listed(&wrong)),
    }
}

fn goal(fallback: &Fallback) -> String {
    match fallback.goal {
        Goal::Tolerance(Tolerance { rtol, atol, atol_typical: 0.0 }) => {
            format!("rtol {rtol:.0e} and atol {atol:.0e}")
        }
        Goal::Tolerance(Tolerance { rtol, atol_typical, .. }) => {
            format!("rtol {rtol:.0e} and {atol_typical:.0e} of the typical magnitude")
        }
        Goal::Floor => "16 times the error of a fault-free backend at most".into(),
        Goal::Top1 => "the largest element of each row in its place".into(),
    }
}

fn proof(fallback: &Fallback) -> Option<String> {
    let members = fallback.members.as_ref().filter(|members| !members.is_empty())?;
    let all = members.len();
    Some(match fallback.proven {
        _ if all == 1 => "Proven: without it the output is wrong.".into(),
        proven if proven >= all => {
            "Proven: no smaller part of the set is enough; each was run.".into()
        }
        2 => "Proven: no member, and no two, can be left out; each was run.".into(),
        _ => "Proven: no member can be left out; each was run.".into(),
    })
}

fn effort(fallback: &Fallback) -> String {
    let (members, operators) = fallback.choices;
    let among = match fallback.by {
        By::Type => format!("{members} types ({operators} operators)"),
        By::Op => format!("{operators} operators"),
    };
    format!("Searched in {} runs among {among}.", fallback.runs)
}

fn cost(fallback: &Fallback) -> Option<String> {
    let latency = fallback.latency?;
    let ms = |seconds: f64| format!("{:.2} ms", 1e3 * seconds);
    Some(format!(
        "Latency, median of whole runs: {} as it is, {} so (stepped operator by operator {} and {}; what stepping costs is taken out). {} tensors, {} kB travel between device and CPU in each run.",
        ms(latency.before),
        ms(latency.after),
        ms(latency.stepped),
        ms(latency.overridden),
        fallback.transfers.tensors,
        fallback.transfers.bytes.div_ceil(1000),
    ))
}

/// The condition that moves the members to the CPU, for the engine's source.
fn condition(target: &TargetReport, fallback: &Fallback) -> Option<String> {
    let members = fallback.members.as_ref().filter(|_| fallback.is_small() && !fallback.raise)?;
    let ran_on = target.ran_on.as_ref().filter(|ran_on| ran_on.engine == "mnn")?;
    let class = match ran_on.backend.as_str() {
        "vulkan" => "VulkanBackend",
        "opencl" => "OpenCLBackend",
        "cuda" => "CUDABackend",
        _ => return None,
    };
    if members.is_empty() {
        return None;
    }
    let test = |member: &Member| match (fallback.by, member.type_number) {
        (By::Type, Some(number)) => format!("op->type() == OpType_{} /* {number} */", member.name),
        _ => format!("op->name()->str() == \"{}\"", member.name),
    };
    let tests: Vec<String> = members.iter().take(NAMED).map(test).collect();
    let more = if members.len() > NAMED { " || ..." } else { "" };
    Some(format!(
        "In MNN, {class}::onCreate declines them with `if ({}{more}) return nullptr;`: what it declines runs on the CPU.",
        tests.join(" || ")
    ))
}

fn limits(fallback: &Fallback) -> Option<String> {
    let (name, reason) = fallback.fixed.first()?;
    Some(format!(
        "{} operators could not be moved, the first is {name}: {reason}.",
        fallback.fixed.len()
    ))
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(NAMED);
    match (shown.as_slice(), more) {
        ([one], 0) => one.clone(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

fn error(value: Option<f64>) -> String {
    match value {
        None => "NaN".into(),
        // Elements that are NaN or infinite on one side only.
        Some(f64::MAX) => "non-finite".into(),
        Some(value) => format!("{value:.1e}"),
    }
}
