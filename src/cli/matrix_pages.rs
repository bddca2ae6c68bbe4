//! The pages of a matrix: a file for each cell whose operators were walked, or whose target parts while it decodes.

use super::answer;
use crate::decode::Decode;
use crate::engine::Request;
use crate::report::{TargetReport, decode_html, report_html};
use crate::session::{Failure, Reference, Registry, saved_report};
use std::fs;
use std::path::Path;

/// The folder of the pages, in the folder of the matrix.
const FOLDER: &str = "walks";

/// A cell with a page.
pub(super) struct CellPage<'a> {
    /// The number of the cell, in the order of rows and columns.
    pub(super) number: usize,
    /// The name of the row.
    pub(super) row: &'a str,
    /// The network's file.
    pub(super) network: &'a Path,
}

impl CellPage<'_> {
    /// Writes the page of a walk into the matrix's folder; returns its name there.
    pub(super) fn write_walk(
        &self,
        folder: &Path,
        (request, registry, reference): (&Request<'_>, &Registry, &Reference),
        target: &TargetReport,
    ) -> Result<String, Failure> {
        let targets = vec![target.clone()];
        let report = saved_report("walk", self.network, request, registry, reference, targets);
        self.write(folder, &target.target, report_html(&report))
    }

    /// Writes the page of a target that decoded; returns its name in the matrix's folder.
    pub(super) fn write_decode(
        &self,
        folder: &Path,
        target: &str,
        decode: &Decode,
    ) -> Result<String, Failure> {
        self.write(folder, target, decode_html(decode))
    }

    fn write(&self, folder: &Path, target: &str, html: String) -> Result<String, Failure> {
        let name = format!("{:04}-{}-{}", self.number + 1, plain(self.row), plain(target));
        let page = format!("{FOLDER}/{name}.html");
        let pages = folder.join(FOLDER);
        fs::create_dir_all(&pages).map_err(|error| Failure::write(&pages, error))?;
        answer::write(&folder.join(&page), html)?;
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
