//! The terminal: printed text, its width and colours, and the spinner.

use crate::report::printable;
use crate::session::Failure;
use crate::verdict::Kind;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

/// Columns if their number is unknown.
const DEFAULT_WIDTH: usize = 80;
/// The minimum of columns; narrower text is unreadable.
const NARROWEST: usize = 40;
/// The maximum of columns; longer lines are hard to read on any screen.
const WIDEST: usize = 120;

/// Prints to stdout. A closed pipe (`| head`) is not a failure.
pub(super) fn show(text: &str) {
    let _ = io::stdout().lock().write_all(printable(text).as_bytes());
}

/// Prints a line to stderr.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints a failure to stderr: one line, and a hint.
pub(super) fn complain(failure: &Failure) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(stderr, "error: {}", printable(&failure.line()));
    if let Some(hint) = failure.hint() {
        let _ = writeln!(stderr, "hint: {}", printable(hint));
    }
}

/// The number of columns to fill with text.
pub(super) fn width() -> usize {
    columns().min(WIDEST)
}

/// The number of columns for tables: the terminal's, otherwise `COLUMNS`.
pub(super) fn columns() -> usize {
    let terminal =
        rustix::termios::tcgetwinsize(rustix::stdio::stdout()).map(|size| usize::from(size.ws_col));
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    let columns = terminal.ok().filter(|&columns| columns > 0).or_else(told);
    columns.unwrap_or(DEFAULT_WIDTH).max(NARROWEST)
}

/// Colours a verdict on a terminal; other outputs get plain text.
pub(super) fn painter() -> crate::report::Paint {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !plain { coloured } else { |_, text| text.to_owned() }
}

fn coloured(kind: Kind, text: &str) -> String {
    use crate::verdict::News;
    let colour = match kind.news() {
        News::Good => "32",
        News::Bad => "31",
        News::None => "33",
    };
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// A progress bar on stderr with the remaining time; invisible unless stderr is a terminal.
pub(super) fn steps(quiet: bool, count: u64) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count);
    let template = "{wide_bar} {pos} of {len} inputs, {eta} left ({elapsed})";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// A spinner on stderr that names the current step; invisible unless stderr is a terminal.
pub(super) fn progress(quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
