//! A share of the cells: every scheduler that can count can spread a sweep over machines.

use super::MatrixError;
use std::fmt;
use std::str::FromStr;

/// Share `index` of `of`, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

impl Shard {
    /// All cells.
    pub const WHOLE: Shard = Shard { index: 1, of: 1 };

    /// Whether the share contains the cell with this number, counted row by row from 0.
    pub fn has(self, cell: usize) -> bool {
        cell % self.of == self.index - 1
    }

    /// The addition to file names: empty for the whole, else `-2-of-3`.
    pub fn suffix(self) -> String {
        match self {
            Shard::WHOLE => String::new(),
            Shard { index, of } => format!("-{index}-of-{of}"),
        }
    }
}

impl FromStr for Shard {
    type Err = MatrixError;

    fn from_str(text: &str) -> Result<Self, MatrixError> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if 0 < index && index <= of => Ok(Shard { index, of }),
            _ => Err(MatrixError::Shard(text.to_owned())),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_disjoint_and_together_the_whole() {
        for of in 1..6 {
            let shards: Vec<Shard> =
                (1..=of).map(|index| format!("{index}/{of}").parse().unwrap()).collect();
            for cell in 0..40 {
                assert_eq!(shards.iter().filter(|shard| shard.has(cell)).count(), 1);
            }
        }
        assert_eq!("2/3".parse::<Shard>().unwrap().suffix(), "-2-of-3");
        assert_eq!("1/1".parse::<Shard>().unwrap(), Shard::WHOLE);
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "1", "0/3", "4/3", "1/0", "a/b", "-1/3", "1/2/3", "1 / 2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
