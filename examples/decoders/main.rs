//! Writes small decoders: `cargo run --release --example decoders -- OUTDIR [NAME...]`.
//!
//! The weights are seeded, so the files are the same on every machine. `huge` is only written if it is named: it has
//! half a billion weights in an external file.

mod files;
mod networks;

use networks::recipes::{self, Family, Recipe};
use std::io::{self, Write as _};
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "give the folder to write to"));
    };
    let names: Vec<String> = arguments.filter_map(|name| name.into_string().ok()).collect();
    std::fs::create_dir_all(&folder)?;
    let is_asked = |name: &str| match names.is_empty() {
        true => name != recipes::HUGE,
        false => names.iter().any(|asked| asked == name),
    };
    for recipe in recipes::all().into_iter().filter(|recipe| is_asked(recipe.name)) {
        let bytes = files::write(&recipe, &folder)?;
        writeln!(io::stdout(), "{:<20} {bytes:>11} bytes  {}", recipe.name, describes(&recipe))?;
    }
    Ok(())
}

/// One line about a decoder.
fn describes(recipe: &Recipe) -> String {
    let family = match recipe.family {
        Family::Llama => "LLaMA-like",
        Family::Fused => "LLaMA-like in ONNX Runtime's operators",
        Family::Gpt2 => "GPT-2-like",
    };
    let cache = if recipe.has_cache { "with cache" } else { "without cache" };
    format!("{family}, {} layers, {}, {cache}", recipe.layers, recipe.dtype)
}
