//! How a worker is started: this program again, or a command that reaches a worker.

use super::descendants::Descendants;
use super::ending::Ending;
use crate::engine::{Ended, Place, Request};
use crate::worker::interruption::Interrupt;
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How to start a worker: this program again, or a command that reaches a worker.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    program: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    timeout: Option<Duration>,
    memory: Option<u64>,
    interrupt: Interrupt,
    /// Whether all processes that the worker starts end with the worker, in any session.
    is_ours: bool,
}

impl WorkerProgram {
    /// `offby worker`, for the program at `path`.
    pub fn offby(path: PathBuf) -> Self {
        WorkerProgram::ours(path, vec!["worker".into()])
    }

    /// A local program with these arguments, which is a worker of ours.
    pub fn ours(program: PathBuf, arguments: Vec<String>) -> Self {
        let (environment, timeout, memory) = (BTreeMap::new(), None, None);
        WorkerProgram {
            program,
            arguments,
            environment,
            timeout,
            memory,
            interrupt: Interrupt::of_process(),
            is_ours: true,
        }
    }

    /// The same program with a limit to the worker's memory, in bytes.
    pub fn with_memory(self, limit: Option<u64>) -> Self {
        WorkerProgram { memory: limit, ..self }
    }

    /// The same program, whose work stops if this token is set.
    pub fn with_interrupt(self, interrupt: Interrupt) -> Self {
        WorkerProgram { interrupt, ..self }
    }

    /// Whether the worker is on this machine, as far as offby knows.
    pub(in crate::worker) fn is_here(&self) -> bool {
        self.is_ours
    }

    /// The token that stops the worker's work.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// The worker of a place. If the place has no worker, this worker with the place's environment.
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

    /// Starts the worker in a separate process group. The user's command may leave a process behind on purpose:
    /// the shared connection of `ssh`, or the server of `adb`. Our own worker leaves no process.
    pub(in crate::worker) fn spawn(&self) -> Result<(Child, Option<Descendants>), Ending> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let descendants = self.is_ours.then(|| Descendants::mark(&mut command));
        let child = command.spawn().map_err(|error| Ending::Absent {
            ended: Ended::Absent,
            why: format!("{} could not be started: {error}", self.program.display()),
            hint: "see that the command is there and may be run",
        })?;
        Ok((child, descendants))
    }

    /// The limit to the worker's memory in bytes, if there is a limit.
    pub(in crate::worker) fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// The variables to set in the worker's environment, on any machine.
    pub(in crate::worker) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// A request with the deadline of the worker's place, if the place has a deadline.
    pub(in crate::worker) fn within<'r>(&self, request: &Request<'r>) -> Request<'r> {
        Request { deadline: self.timeout.unwrap_or(request.deadline), ..*request }
    }

    /// The line of evidence about the variables that offby set for the worker.
    pub(in crate::worker) fn evidence(&self) -> Option<String> {
        let set: Vec<String> =
            self.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!set.is_empty()).then(|| format!("offby set {} for the worker", set.join(" ")))
    }
}
