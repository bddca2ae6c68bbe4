//! Where a target's worker runs: here, or wherever a command gives its stdin and stdout.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;

/// Where a worker runs, and with what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// What the user calls it; absent where it was only given as a command.
    pub name: Option<String>,
    /// The command that starts the worker; offby's own where absent.
    pub via: Option<Via>,
    /// Variables set in the worker's environment, wherever that is.
    pub environment: BTreeMap<String, String>,
    /// The longest a target may take there, in place of the command line's.
    pub timeout: Option<Duration>,
}

/// A command whose stdin and stdout are those of a worker: `ssh board offby worker`.
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

    /// Its arguments.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

/// A text that is no command.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("read the command `{text}`: {what}")]
pub struct ViaError {
    text: String,
    what: &'static str,
}

impl ViaError {
    /// What the user can do.
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
