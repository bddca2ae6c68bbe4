//! The `offby` program.

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A walk takes and frees tensors of megabytes with small values between them. In glibc's heap the small values split
/// the freed tensors, and a walk of a dump of 1 GB then needs 70 MB or 770 MB, as chance has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    offby::cli::main()
}
