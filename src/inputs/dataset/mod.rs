//! Data sets: many inputs for one network. Each input is read when its turn comes, and only the list of the
//! inputs is kept in memory.

mod file;
mod labels;
mod listing;
mod rows;
mod source;

use super::picture::{self, Framing, Normalization};
use super::{Feed, InputError, stored};
use crate::graph::{ResolvedInput, ValueName};
use crate::tensor::{Digest, Tensor};
use file::{has_ending, refuse};
use labels::Labels;
use listing::Listed;
use source::InputSource;
use std::path::{Path, PathBuf};

/// How an image is prepared before it is fed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preparation {
    /// The part that is fed.
    pub framing: Framing,
    /// The normalization of its channels.
    pub normalization: Normalization,
}

/// One input of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The sample's name: a file, or a row of a file.
    pub id: String,
    /// One tensor for each of the network's inputs.
    pub feeds: Vec<Feed>,
    /// The right class.
    pub label: Option<usize>,
    /// The right outputs, if the data set has them.
    pub expected: Vec<(ValueName, Tensor)>,
}

/// Many inputs for one network.
#[derive(Debug)]
pub struct Dataset {
    path: PathBuf,
    inputs: Vec<ResolvedInput>,
    outputs: Vec<ValueName>,
    source: InputSource,
    labels: Labels,
    preparation: Preparation,
}

impl Dataset {
    /// Opens a folder, an `.npy` or `.npz` file, or a text list. `labels` is a file with one class for
    /// each input, in their order.
    ///
    /// # Errors
    /// If there are no inputs, they do not fit the network's, or the number of labels differs.
    pub fn open(
        path: &Path,
        (inputs, outputs): (&[ResolvedInput], &[ValueName]),
        labels: Option<&Path>,
        preparation: Preparation,
    ) -> Result<Self, InputError> {
        let Listed { source, labels: listed } = listing::list(path, inputs)?;
        let labels = labels.map_or(Ok(listed), Labels::read)?;
        let (inputs, outputs) = (inputs.to_vec(), outputs.to_vec());
        let set = Dataset { path: path.to_owned(), inputs, outputs, source, labels, preparation };
        set.check()?;
        Ok(set)
    }

    fn check(&self) -> Result<(), InputError> {
        let (inputs, labels) = (self.len(), self.labels.len());
        if inputs == 0 {
            return Err(refuse(&self.path, "it has no inputs", listing::KINDS));
        }
        if labels.is_some_and(|labels| labels != inputs) {
            let problem = format!("there are {inputs} inputs and {} labels", labels.unwrap_or(0));
            return Err(refuse(
                &self.path,
                problem,
                "give one label for each input, or none at all",
            ));
        }
        if let (InputSource::Files(files), true) = (&self.source, self.inputs.len() != 1) {
            let problem = format!(
                "the network has {} inputs, and {} feeds one",
                self.inputs.len(),
                files[0].display()
            );
            let remedy = "give an .npz with one array for each input, named as it";
            return Err(refuse(&self.path, problem, remedy));
        }
        Ok(())
    }

    /// The number of inputs.
    pub fn len(&self) -> usize {
        match &self.source {
            InputSource::Files(paths) | InputSource::Tests(paths) => paths.len(),
            InputSource::Rows(rows) => rows.count(),
        }
    }

    /// Whether the data set has no inputs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of inputs with a label: all or none.
    pub fn labels(&self) -> usize {
        self.labels.len().unwrap_or(0)
    }

    /// How each image is prepared. Empty if the data set has no images.
    pub fn preparation(&self) -> String {
        let Preparation { framing, normalization } = &self.preparation;
        match &self.source {
            InputSource::Files(files) if files.iter().any(|file| listing::is_picture(file)) => {
                format!("{framing}{normalization}").trim().to_owned()
            }
            _ => String::new(),
        }
    }

    /// The digest of the labels, the preparation, and the files' names and sizes. If one file holds all inputs, its
    /// bytes replace name and size.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn digest(&self) -> Result<Digest, InputError> {
        let mut parts = vec![self.labels.digest()?.to_string(), self.preparation()];
        match &self.source {
            InputSource::Rows(rows) => parts.extend(rows.digests(&self.path)?),
            InputSource::Files(paths) | InputSource::Tests(paths) => {
                for path in paths {
                    let found = std::fs::metadata(path);
                    let found =
                        found.map_err(|error| refuse(path, error.to_string(), listing::KINDS))?;
                    // The size of a folder differs from machine to machine.
                    let size = if found.is_dir() { 0 } else { found.len() };
                    parts.push(format!("{} {size}", self.name(path)));
                }
            }
        }
        Ok(Digest::of(parts.iter().map(String::as_bytes)))
    }

    /// Reads one input.
    ///
    /// # Errors
    /// If the input cannot be read, or does not fit.
    pub fn read(&self, index: usize) -> Result<Sample, InputError> {
        let (id, tensors) = match &self.source {
            InputSource::Files(files) => {
                (self.name(&files[index]), vec![self.file(&files[index], &self.inputs[0])?])
            }
            InputSource::Tests(folders) => {
                (self.name(&folders[index]), listing::test_inputs(&folders[index], &self.inputs)?)
            }
            InputSource::Rows(rows) => {
                let file = self.path.file_name().unwrap_or(self.path.as_os_str());
                (format!("{}[{index}]", file.to_string_lossy()), rows.read(index, &self.inputs)?)
            }
        };
        let feed = |(input, tensor): (&ResolvedInput, Tensor)| {
            Feed::new(input.name.clone(), id.clone(), tensor)
        };
        let feeds = self.inputs.iter().zip(tensors).map(feed).collect();
        let expected = match &self.source {
            InputSource::Tests(folders) => listing::test_outputs(&folders[index], &self.outputs)?,
            _ => Vec::new(),
        };
        Ok(Sample { id, feeds, label: self.labels.get(index)?, expected })
    }

    fn file(&self, path: &Path, input: &ResolvedInput) -> Result<Tensor, InputError> {
        let Preparation { framing, normalization } = &self.preparation;
        if listing::is_picture(path) {
            picture::read(path, normalization, *framing, input)
        } else if has_ending(path, &["pb"]) {
            stored::pb(path, input)
        } else {
            rows::fitted(crate::tensor::read_npy(path)?, path, input)
        }
    }

    /// A file's path relative to the data set's folder, or to the folder of its list.
    fn name(&self, path: &Path) -> String {
        let listed = path.strip_prefix(&self.path).ok();
        let beside = || path.strip_prefix(self.path.parent()?).ok();
        listed.or_else(beside).unwrap_or(path).display().to_string()
    }
}

#[cfg(test)]
mod tests;
