//! `offby agree`: a network over a data set, in one run, in shares, or from saved shares.

use super::agree_args::{AgreeArgs, AgreeCommand, AgreeOutputArgs, AgreeRunArgs};
use super::agree_run::run;
use super::answer::{self, Unwritten};
use super::place_for_results::can_hold_results;
use super::screen;
use crate::agree::{Agree, merge, read_agree};
use crate::matrix::Shard;
use crate::report::{Pictures, agree_html, agree_markdown, agree_text};
use crate::session::Failure;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs or merges, then reports; returns the exit code.
pub(super) fn agree(args: &AgreeArgs) -> Result<u8, Failure> {
    match &args.command {
        Some(AgreeCommand::Merge(args)) => {
            args.giving.can_be_written()?;
            let whole = merge_files(&args.files)?;
            // The inputs are not there any more.
            give(&args.giving, Shard::WHOLE, (&whole, &Pictures::new()), Unwritten::default())
        }
        None => fill(&args.run),
    }
}

fn fill(args: &AgreeRunArgs) -> Result<u8, Failure> {
    let shard = args.shard.as_deref().map_or(Ok(Shard::WHOLE), str::parse)?;
    args.giving.can_be_written()?;
    let (agree, pictures, unwritten) = run(args, shard)?;
    give(&args.giving, shard, (&agree, &pictures), unwritten)
}

impl AgreeOutputArgs {
    /// Checks all output paths before any run.
    fn can_be_written(&self) -> Result<(), Failure> {
        self.out.as_deref().map_or(Ok(()), can_hold_results)?;
        self.output.can_be_written()
    }
}

fn merge_files(files: &[PathBuf]) -> Result<Agree, Failure> {
    let read = |path: &PathBuf| {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::new(
                format!("read {name}: {error}"),
                "give what `offby agree --shard` wrote with --json or --out",
            )
        })?;
        Ok((name.clone(), read_agree(&name, &text)?))
    };
    Ok(merge(files.iter().map(read).collect::<Result<Vec<_>, Failure>>()?)?)
}

/// Writes and prints the result; returns the exit code.
fn give(
    giving: &AgreeOutputArgs,
    shard: Shard,
    (agree, pictures): (&Agree, &Pictures),
    mut unwritten: Unwritten,
) -> Result<u8, Failure> {
    if let Some(folder) = &giving.out {
        unwritten.note(write_all(folder, shard, agree, pictures));
    }
    let output = &giving.output;
    unwritten.note(answer::give(output, agree, || {
        agree_text(agree, screen::width(), output.verbose, screen::painter())
    }));
    unwritten.told()?;
    // If shares are missing, some inputs have not run.
    let all = !agree.interrupted && (agree.shares.is_empty() || shard != Shard::WHOLE);
    Ok(match agree.exit_code() {
        0 if !all => 3,
        code => code,
    })
}

fn write_all(
    folder: &Path,
    shard: Shard,
    agree: &Agree,
    pictures: &Pictures,
) -> Result<(), Failure> {
    let renderings = [("md", agree_markdown(agree)), ("html", agree_html(agree, pictures))];
    answer::write_forms(folder, &format!("agree{}", shard.suffix()), agree, renderings)
}
