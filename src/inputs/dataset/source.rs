//! Where the inputs of a data set come from.

use super::rows::DatasetRows;
use std::path::PathBuf;

/// The source of the inputs.
#[derive(Debug)]
pub(super) enum InputSource {
    /// Each input from its own file, for a network of one input.
    Files(Vec<PathBuf>),
    /// Each input from a folder `test_data_set_N`, as in ONNX's own tests.
    Tests(Vec<PathBuf>),
    /// Each input from one row of the same arrays.
    Rows(DatasetRows),
}
