//! `offby matrix`: a table of networks against targets, from one run, in shares, or from saved files.

use super::answer::{self, Unwritten};
use super::args::{MatrixArgs, MatrixCommand, MatrixOutputArgs, SweepArgs};
use super::matrix_from::{gather, merge_files, read_file};
use super::matrix_pages::is_walk_page;
use super::matrix_run::sweep;
use super::place_for_results::can_hold_results;
use super::screen;
use crate::matrix::{Blessed, CellChange, Matrix, Shard, bless, compare};
use crate::report::{matrix_html, matrix_markdown, matrix_text, plural};
use crate::session::Failure;
use std::path::Path;

/// Fills or gathers a matrix, compares it with an earlier one and reports; returns the exit code.
pub(super) fn matrix(args: &MatrixArgs) -> Result<u8, Failure> {
    match &args.command {
        Some(MatrixCommand::Merge(args)) => {
            let giving = Giving::new(&args.giving, Shard::WHOLE)?;
            giving.give(merge_files(&args.files)?, Unwritten::default())
        }
        None => fill(&args.sweep),
    }
}

fn fill(args: &SweepArgs) -> Result<u8, Failure> {
    let shard = args.shard.as_deref().map_or(Ok(Shard::WHOLE), str::parse)?;
    let giving = Giving::new(&args.giving, shard)?;
    let (matrix, unwritten) = match args.from.is_empty() {
        true => sweep(args, shard)?,
        false => (gather(&args.from, args.system.as_deref())?, None),
    };
    giving.give(matrix, unwritten.into_iter().collect())
}

/// The output of a matrix. The command checks all arguments before any run.
struct Giving<'a> {
    args: &'a MatrixOutputArgs,
    shard: Shard,
    earlier: Option<(String, Matrix)>,
}

impl<'a> Giving<'a> {
    fn new(args: &'a MatrixOutputArgs, shard: Shard) -> Result<Self, Failure> {
        let read = |path: &std::path::PathBuf| {
            let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into());
            Ok::<_, Failure>((name, read_file(path)?))
        };
        let earlier = args.against.as_ref().map(read).transpose()?;
        args.out.as_deref().map_or(Ok(()), can_hold_results)?;
        args.output.can_be_written()?;
        Ok(Giving { args, shard, earlier })
    }

    /// Writes and prints the matrix; returns the exit code.
    fn give(self, mut matrix: Matrix, mut unwritten: Unwritten) -> Result<u8, Failure> {
        let mut blessed = None;
        if let Some((file, earlier)) = &self.earlier {
            matrix.changes = Some(compare(earlier, file, &matrix));
            blessed = self.args.bless.then(|| bless(earlier, &matrix));
        }
        if let Some(folder) = &self.args.out {
            keep_pages_of(folder, &mut matrix);
            unwritten.note(write_all(folder, self.shard, &matrix));
        }
        let output = &self.args.output;
        unwritten.note(answer::give(output, &matrix, || {
            matrix_text(&matrix, screen::columns(), output.verbose, screen::painter())
        }));
        if let (Some(blessed), Some(file)) = (&blessed, &self.args.against) {
            unwritten.note(keep(blessed, file, output.quiet));
        }
        unwritten.told()?;
        // A share is complete by itself. In a whole matrix, a cell that was not run was not compared.
        let all = !matrix.interrupted && (self.shard != Shard::WHOLE || matrix.is_complete());
        Ok(match matrix.exit_code() {
            0 if !all => 3,
            code => code,
        })
    }
}

/// Forgets the pages of walks that are in a different folder.
fn keep_pages_of(folder: &Path, matrix: &mut Matrix) {
    for cell in matrix.rows.iter_mut().flat_map(|row| row.cells.values_mut()) {
        cell.page =
            cell.page.take().filter(|page| is_walk_page(page) && folder.join(page).is_file());
    }
}

/// Writes a blessed matrix into its file, and says what was taken.
fn keep(blessed: &Blessed, file: &Path, is_quiet: bool) -> Result<(), Failure> {
    if !blessed.taken.is_empty() {
        answer::write_json(file, &blessed.matrix)?;
    }
    if !is_quiet {
        blessed_lines(blessed, file).iter().for_each(|line| screen::note(line));
    }
    Ok(())
}

fn blessed_lines(blessed: &Blessed, file: &Path) -> Vec<String> {
    let file = file.display();
    let mut lines = vec![match blessed.taken.len() {
        0 => format!("nothing got better, so {file} stays as it was"),
        count => format!("{} written into {file}", plural(count, "better cell")),
    }];
    let line = |what: &str, change: &CellChange| {
        format!("  {what} {} on {}: {}", change.row, change.target, change.words)
    };
    lines.extend(blessed.taken.iter().map(|change| line("accepted", change)));
    lines.extend(blessed.left.iter().map(|change| line("not accepted", change)));
    lines
}

fn write_all(folder: &Path, shard: Shard, matrix: &Matrix) -> Result<(), Failure> {
    let renderings = [("md", matrix_markdown(matrix)), ("html", matrix_html(matrix))];
    answer::write_forms(folder, &format!("matrix{}", shard.suffix()), matrix, renderings)
}
