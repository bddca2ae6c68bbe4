//! Writes the debug networks: `cargo run --release --example debug_models -- OUTDIR`.
//!
//! The output is the same on every machine; `tests/it/debug_models.rs` compares the committed files with it.

mod networks;

use std::io::{self, Write as _};
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "give the folder to write to"));
    };
    std::fs::create_dir_all(&folder)?;
    for debug in networks::all() {
        let bytes = debug.network.to_bytes();
        std::fs::write(folder.join(debug.file), &bytes)?;
        writeln!(io::stdout(), "{:<28} {:>7} bytes  {}", debug.file, bytes.len(), debug.case)?;
    }
    Ok(())
}
