//! The same plans through the command line: `offby walk --via`, and commands that are killed themselves.

use crate::field::Field;
use crate::leftovers::processes;
use crate::plan::{Kind, Plan, Stage, Way};
use crate::saboteur::Deed;
use offby::engine::Ended;
use serde_json::{Value, json};
use std::env;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a worker may outlive its parent.
const SOON: Duration = Duration::from_secs(5);

/// Plants the fault, walks with a command, and compares its report with the plan.
pub(crate) fn run(plan: &Plan, field: &Field) -> Result<(), String> {
    // A process that the command leaves in a different session is the user's; and only a walk names operators.
    let kind = match plan.kind {
        Kind::Escaped => Kind::Held,
        Kind::Stuck => Kind::Hang,
        other => other,
    };
    let stage = match plan.stage {
        Stage::Trial => Stage::Later,
        Stage::Answered => Stage::Parting,
        other => other,
    };
    let plan = Plan { kind, stage, way: Way::Walk, ..*plan };
    let (ops, operator) = field.moment(&plan);
    let is_silent = plan.ended() == Some(Ended::Deadline);
    let timeout = if is_silent { "3" } else { "60" };
    let mut command = walk(field, &Deed { kind, stage, ops })?;
    command.args(["--timeout", timeout, "--memory", "256MiB"]);
    let output = command.output().map_err(|error| error.to_string())?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let target = &report["targets"][0];
    let sentence = target["verdict"]["sentence"].as_str().unwrap_or_default();
    let code = if plan.ended().is_some() { 3 } else { 1 };
    if output.status.code() != Some(code) {
        return Err(format!("it leaves with {}, not {code}: {sentence}", output.status));
    }
    let said = (&target["outcome"], &target["ended"]);
    let planted = (json!(plan.outcome()), plan.ended().map_or(Value::Null, |ended| json!(ended)));
    if said != (&planted.0, &planted.1) {
        return Err(format!("{said:?}, not {planted:?}: {sentence}"));
    }
    let operator = operator.filter(|_| plan.ended().is_some());
    let place = operator.map_or_else(String::new, |operator| {
        let when = if plan.after_last() { "in the middle of a message after" } else { "in" };
        format!(", {when} operator {}, {} `{}`", operator.index, operator.op_type, operator.name)
    });
    match sentence.contains(&place) && sentence.contains(plan.words()) {
        true => Ok(()),
        false => Err(format!("`{place}` or `{}` is missing: {sentence}", plan.words())),
    }
}

/// `offby walk` with a worker that goes wrong.
fn walk(field: &Field, deed: &Deed) -> Result<Command, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let via = format!("{} {}", program.display(), deed.arguments().join(" "));
    let mut command = Command::new(env!("CARGO_BIN_EXE_offby"));
    command.arg("walk").arg(&field.path).args(["--on", "sim:zero", "--json", "-", "--repeat", "2"]);
    command
        .args(["--input", "normal:1", "--via", &via])
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Kills commands while their worker hangs, works, or is stopped. Returns their number, if no worker outlives
/// its command.
pub(crate) fn killed_parents(field: &Field) -> Result<usize, String> {
    let kinds = [Kind::Hang, Kind::Busy, Kind::Stopped, Kind::Deaf, Kind::EarlyEof];
    let planted = kinds.map(|kind| walk(field, &Deed { kind, stage: Stage::Op, ops: 1 }));
    // The last command runs offby's own worker.
    let mut own = Command::new(env!("CARGO_BIN_EXE_offby"));
    own.arg("walk").arg(&field.path).args(["--on", "sim:hang"]).stdin(Stdio::null());
    let mut count = 0;
    for command in planted.into_iter().chain([Ok(own)]) {
        let mut command = command?;
        count += 1;
        let variable = ("OFFBY_KILLED", format!("{}-{count}", std::process::id()));
        command.env(variable.0, &variable.1).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let left = || processes(&format!("{}={}", variable.0, variable.1));
        let ended = kill_when_it_waits(&mut child, &left) && within(SOON, || left().is_empty());
        if !ended {
            return Err(format!("{command:?}: {}", left().join(", ")));
        }
    }
    Ok(count)
}

/// Kills the command once its worker runs and has had time to go wrong.
fn kill_when_it_waits(child: &mut Child, left: &dyn Fn() -> Vec<String>) -> bool {
    let is_there = within(SOON * 4, || left().len() > 1);
    thread::sleep(Duration::from_millis(500));
    let killed = child.kill().is_ok() && child.wait().is_ok();
    is_there && killed
}

fn within(time: Duration, is: impl Fn() -> bool) -> bool {
    let until = Instant::now() + time;
    while !is() {
        if Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}
