//! The pages of a matrix's walks: a file for each cell whose operators were walked.

use super::answer;
use crate::engine::Request;
use crate::report::{TargetReport, report_html};
use crate::session::{Failure, Reference, Registry, saved_report};
use std::fs;
use std::path::Path;

/// The folder of the pages, in the folder of the matrix.
const FOLDER: &str = "walks";

/// A cell that was walked.
pub(super) struct WalkedCell<'a> {
    /// The number of the cell, in the order of rows and columns.
    pub(super) number: usize,
    /// The name of the row.
    pub(super) row: &'a str,
    /// The network's file.
    pub(super) network: &'a Path,
}

impl WalkedCell<'_> {
    /// Writes the page of the walk into the matrix's folder; returns its name there.
    pub(super) fn write(
        &self,
        folder: &Path,
        (request, registry, reference): (&Request<'_>, &Registry, &Reference),
        target: &TargetReport,
    ) -> Result<String, Failure> {
        let name = format!("{:04}-{}-{}", self.number + 1, plain(self.row), plain(&target.target));
        let page = format!("{FOLDER}/{name}.html");
        let report =
            saved_report("walk", self.network, request, registry, reference, vec![target.clone()]);
        let pages = folder.join(FOLDER);
        fs::create_dir_all(&pages).map_err(|error| Failure::write(&pages, error))?;
        answer::write(&folder.join(&page), report_html(&report))?;
        Ok(page)
    }
}

/// Whether a text of a saved matrix can be the name of a page.
pub(super) fn is_walk_page(page: &str) -> bool {
    let name = page.strip_prefix("walks/").and_then(|file| file.strip_suffix(".html"));
    name.is_some_and(|name| !name.is_empty() && name == plain(name))
}

/// Letters, digits and `_`, all else as `-`.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_a_file_in_its_folder() {
        assert!(is_walk_page("walks/0001-split_view-mnn-vulkan-high.html"));
        for other in ["walks/../a.html", "javascript:alert(1)", "walks/.html", "/walks/a.html"] {
            assert!(!is_walk_page(other), "{other}");
        }
    }
}
