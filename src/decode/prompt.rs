//! The tokens of the prompt: a list, a file, or random tokens.

use super::error::DecodeError;
use crate::inputs::Random;
use std::path::Path;

/// The start of a prompt of random tokens.
const RANDOM: &str = "random:";
/// The most tokens of a prompt.
const MOST: usize = 1 << 20;

/// The tokens of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt(pub Vec<i64>);

/// Reads `1,15,27`, `random:LENGTH`, `random:LENGTH,SEED`, or a text file of numbers. `vocabulary` is the number of
/// scores that the network gives.
///
/// # Errors
/// If the text is none of these, or a token is outside the vocabulary.
pub fn read_prompt(text: &str, vocabulary: usize) -> Result<Prompt, DecodeError> {
    let unfit = |problem: String| DecodeError::Tokens { text: text.to_owned(), problem };
    let tokens = match text.strip_prefix(RANDOM) {
        Some(rest) => random(rest, vocabulary).ok_or_else(|| {
            unfit("`random` takes a length from 1 on, and perhaps a seed: random:8,1".into())
        })?,
        None => {
            let listed = match Path::new(text).is_file() {
                true => std::fs::read_to_string(text).map_err(|error| unfit(error.to_string()))?,
                false => text.to_owned(),
            };
            numbers(&listed).map_err(|word| {
                unfit(format!("`{word}` is not a token, and there is no file of this name"))
            })?
        }
    };
    if tokens.is_empty() {
        return Err(unfit("there is no token".into()));
    }
    known(tokens, vocabulary).map(Prompt).map_err(unfit)
}

/// The same tokens, if all are in the vocabulary. Otherwise a sentence names the first that is not.
pub(super) fn known(tokens: Vec<i64>, vocabulary: usize) -> Result<Vec<i64>, String> {
    let is_known = |token: &&i64| usize::try_from(**token).is_ok_and(|token| token < vocabulary);
    match tokens.iter().find(|token| !is_known(token)) {
        Some(token) => Err(format!("the token {token} is outside the vocabulary of {vocabulary}")),
        None => Ok(tokens),
    }
}

fn random(text: &str, vocabulary: usize) -> Option<Vec<i64>> {
    let (length, seed) = text.split_once(',').unwrap_or((text, "0"));
    let length: usize = length.trim().parse().ok()?;
    let mut random = Random::new(seed.trim().parse().ok()?);
    let mut next = || (random.unit() * vocabulary as f64) as i64;
    (1..=MOST).contains(&length).then(|| (0..length).map(|_| next()).collect())
}

/// The numbers of a text, whatever separates them. Fails with the first word that is no number.
pub(super) fn numbers(text: &str) -> Result<Vec<i64>, String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']'))
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().map_err(|_| word.to_owned()))
        .collect()
}
