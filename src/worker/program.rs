//! How a worker is started: this program again, or whatever command reaches one.

use super::ending::Ending;
use super::kin::Kin;
use crate::engine::{Ended, Place, Request};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How to start a worker: this program again, or whatever command reaches one.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    program: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    timeout: Option<Duration>,
    memory: Option<u64>,
    /// Whether all that it starts is to end with it, in whatever session that is.
    is_ours: bool,
}

impl WorkerProgram {
    /// `offby worker`, for the program at `path`.
    pub fn offby(path: PathBuf) -> Self {
        WorkerProgram::ours(path, vec!["worker".into()])
    }

    /// A program with these arguments that is a worker of ours, here.
    pub fn ours(program: PathBuf, arguments: Vec<String>) -> Self {
        let (environment, timeout, memory) = (BTreeMap::new(), None, None);
        WorkerProgram { program, arguments, environment, timeout, memory, is_ours: true }
    }

    /// The same with a limit to the memory of the worker, in bytes.
    pub fn with_memory(self, limit: Option<u64>) -> Self {
        WorkerProgram { memory: limit, ..self }
    }

    /// The worker of a place; this one, with the place's environment, where the place has none of its own.
    pub fn at(&self, place: &Place) -> Self {
        let Place { via, environment, timeout, .. } = place.clone();
        let placed = WorkerProgram { environment, timeout, ..self.clone() };
        match via {
            Some(via) => {
                let (program, arguments) = (via.program().into(), via.arguments().to_vec());
                WorkerProgram { program, arguments, is_ours: false, ..placed }
            }
            None => placed,
        }
    }

    /// Starts it in a process group of its own. A command of the user's may leave something behind on
    /// purpose: the connection that `ssh` shares, the server of `adb`. Ours leaves nothing.
    pub(super) fn spawn(&self) -> Result<(Child, Option<Kin>), Ending> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let kin = self.is_ours.then(|| Kin::mark(&mut command));
        let child = command.spawn().map_err(|error| Ending::Absent {
            ended: Ended::Absent,
            why: format!("{} could not be started: {error}", self.program.display()),
            hint: "see that the command is there and may be run",
        })?;
        Ok((child, kin))
    }

    /// How many bytes of memory it may use, where that is limited.
    pub(super) fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// What is to be set in its environment, wherever it runs.
    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// A request with the deadline of the worker's place, where that has one.
    pub(super) fn within<'r>(&self, request: &Request<'r>) -> Request<'r> {
        Request { deadline: self.timeout.unwrap_or(request.deadline), ..*request }
    }

    /// The line of evidence that says what is set in the worker's environment.
    pub(super) fn evidence(&self) -> Option<String> {
        let set: Vec<String> =
            self.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!set.is_empty()).then(|| format!("offby set {} for the worker", set.join(" ")))
    }
}
