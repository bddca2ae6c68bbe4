//! The `offby` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    offby::cli::main()
}
