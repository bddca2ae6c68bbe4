//! The place of a target's worker process: this machine, or a place reached by a command's stdin and stdout.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;

/// The place of a worker process, and its settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The user's name for the place; absent if the user gave only a command.
    pub name: Option<String>,
    /// The command that starts the worker process; if absent, offby starts its own worker.
    pub via: Option<Via>,
    /// Variables set in the environment of the worker process, local or remote.
    pub environment: BTreeMap<String, String>,
    /// The longest a target may take there; replaces the timeout of the command line.
    pub timeout: Option<Duration>,
}

/// A command that connects its stdin and stdout to a worker process: `ssh board offby worker`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    program: String,
    arguments: Vec<String>,
}

impl Via {
    /// The program to start.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The command with variables in the environment of what it starts, for workers that take no variables when asked.
    #[must_use]
    pub fn with_variables(&self, variables: &BTreeMap<String, String>) -> Self {
        let set = variables.iter().map(|(name, value)| format!("{name}={value}"));
        let command = [self.program.clone()].into_iter().chain(self.arguments.iter().cloned());
        Via { program: "env".into(), arguments: set.chain(command).collect() }
    }

    /// The program's arguments.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

/// A text that is not a command.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("read the command `{text}`: {what}")]
pub struct ViaError {
    text: String,
    what: &'static str,
}

impl ViaError {
    /// Advice for the user.
    pub fn hint(&self) -> &'static str {
        "a command starts a worker, as in --via 'ssh board offby worker'; it is split as a shell would, and no shell is asked"
    }
}

impl FromStr for Via {
    type Err = ViaError;

    fn from_str(text: &str) -> Result<Self, ViaError> {
        let fail = |what| ViaError { text: text.to_owned(), what };
        let words = shell_words::split(text).map_err(|_| fail("a quote is not closed"))?;
        let mut words = words.into_iter();
        match words.next().filter(|program| !program.is_empty()) {
            Some(program) => Ok(Via { program, arguments: words.collect() }),
            None => Err(fail("it names no program")),
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shell_words::join(std::iter::once(&self.program).chain(&self.arguments)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_would() {
        let via: Via = "ssh -p 22 board 'cd /opt; ./offby worker'".parse().unwrap();
        assert_eq!(via.program(), "ssh");
        assert_eq!(via.arguments(), ["-p", "22", "board", "cd /opt; ./offby worker"]);
        assert_eq!(via.to_string().parse::<Via>().unwrap(), via);
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for text in ["", "  ", "''", "ssh 'board"] {
            assert!(text.parse::<Via>().is_err(), "{text}");
        }
    }
}
