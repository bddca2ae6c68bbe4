//! How a worker is started: this program again, or whatever command reaches one.

use super::ending::Ending;
use crate::engine::{Place, Request};
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
}

impl WorkerProgram {
    /// `offby worker`, for the program at `path`.
    pub fn offby(path: PathBuf) -> Self {
        let (environment, timeout) = (BTreeMap::new(), None);
        WorkerProgram { program: path, arguments: vec!["worker".into()], environment, timeout }
    }

    /// The worker of a place; this one, with the place's environment, where the place has none of its own.
    pub fn at(&self, place: &Place) -> Self {
        let Place { via, environment, timeout, .. } = place.clone();
        let (program, arguments) = match via {
            Some(via) => (via.program().into(), via.arguments().to_vec()),
            None => (self.program.clone(), self.arguments.clone()),
        };
        WorkerProgram { program, arguments, environment, timeout }
    }

    /// Starts it in a process group of its own.
    pub(super) fn spawn(&self) -> Result<Child, Ending> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| Ending::Absent {
            why: format!("{} could not be started: {error}", self.program.display()),
            hint: "see that the command is there and may be run",
        })
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
