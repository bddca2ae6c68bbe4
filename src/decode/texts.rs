//! Texts of tokens as a data set: each token but the last of a text is an input, and the next token is its right class.

use super::error::DecodeError;
use super::prompt::{known, numbers};
use crate::tensor::Digest;
use std::path::{Path, PathBuf};

/// The texts of a file: one a line, as numbers.
#[derive(Debug)]
pub struct Texts {
    path: PathBuf,
    texts: Vec<Vec<i64>>,
    /// The number of inputs before each text.
    starts: Vec<usize>,
    inputs: usize,
}

/// One token of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextToken<'a> {
    /// The whole text without its last token.
    pub fed: &'a [i64],
    /// The text's number, from 0.
    pub text: usize,
    /// The token's place in the text, from 0.
    pub place: usize,
    /// The next token.
    pub next: i64,
}

impl Texts {
    /// Reads a file of texts; `None` if its first line is not a list of numbers, so that it is a different kind of file.
    ///
    /// # Errors
    /// If a later line is no list of at least two tokens, or a token is outside the vocabulary.
    pub fn read(path: &Path, vocabulary: usize) -> Result<Option<Self>, DecodeError> {
        let Some(content) = path.is_file().then(|| std::fs::read_to_string(path).ok()).flatten()
        else {
            return Ok(None);
        };
        let lines: Vec<&str> = content.lines().filter(|line| !line.trim().is_empty()).collect();
        let is_list = |line: &&&str| numbers(line).is_ok_and(|tokens| tokens.len() > 1);
        if lines.first().filter(is_list).is_none() {
            return Ok(None);
        }
        let texts = lines.into_iter().enumerate().map(|(at, line)| {
            let unfit = |problem: String| DecodeError::Tokens {
                text: format!("{}, text {at}", path.display()),
                problem,
            };
            let tokens = numbers(line).map_err(|word| unfit(format!("`{word}` is not a token")))?;
            if tokens.len() < 2 {
                return Err(unfit("it has no token after the first".into()));
            }
            known(tokens, vocabulary).map_err(unfit)
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let mut inputs = 0;
        let mut starts = Vec::with_capacity(texts.len());
        for text in &texts {
            starts.push(inputs);
            inputs += text.len() - 1;
        }
        Ok(Some(Texts { path: path.to_owned(), texts, starts, inputs }))
    }

    /// The number of inputs.
    pub fn len(&self) -> usize {
        self.inputs
    }

    /// Whether there are no inputs. A file of texts has at least one.
    pub fn is_empty(&self) -> bool {
        self.inputs == 0
    }

    /// One input.
    pub fn token(&self, input: usize) -> Option<TextToken<'_>> {
        let text = self.starts.partition_point(|start| *start <= input).checked_sub(1)?;
        let place = input - self.starts[text];
        let tokens = &self.texts[text];
        let next = *tokens.get(place + 1)?;
        Some(TextToken { fed: &tokens[..tokens.len() - 1], text, place, next })
    }

    /// The digest of all tokens.
    pub fn digest(&self) -> Digest {
        Digest::of([format!("{:?}", self.texts).as_bytes()])
    }

    /// The file's name.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Option<Texts>, DecodeError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("texts.txt");
        std::fs::write(&path, content).unwrap();
        Texts::read(&path, 10)
    }

    #[test]
    fn each_token_but_the_last_is_an_input() {
        let texts = read("1, 2, 3\n\n4 5\n").unwrap().unwrap();
        assert_eq!(texts.len(), 3);
        let found: Vec<(usize, usize, i64)> = (0..3)
            .map(|input| texts.token(input).unwrap())
            .map(|token| (token.text, token.place, token.next))
            .collect();
        assert_eq!(found, [(0, 0, 2), (0, 1, 3), (1, 0, 5)]);
        assert_eq!(texts.token(1).unwrap().fed, [1, 2]);
        assert_eq!(texts.token(3), None);
    }

    #[test]
    fn other_files_are_no_texts_and_bad_texts_are_refused() {
        assert!(read("cat.png,3\n").unwrap().is_none());
        assert!(read("3\n").unwrap().is_none());
        assert!(read("1 2\n3\n").unwrap_err().to_string().contains("no token after the first"));
        assert!(read("1 2\n3 x\n").unwrap_err().to_string().contains("`x` is not a token"));
        assert!(read("1 10\n").unwrap_err().to_string().contains("outside the vocabulary of 10"));
    }
}
