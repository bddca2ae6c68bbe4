//! The spans of a sentence. A document keeps a sentence as text with names between backticks; this is the one
//! place that reads them.

/// A part of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span<'a> {
    /// Words of offby.
    Words(&'a str),
    /// A name of the network, a value, or a part of a command line.
    Name(&'a str),
}

/// The spans of a sentence. An odd number of backticks does not quote names: all of it is words then.
pub(super) fn spans(sentence: &str) -> Vec<Span<'_>> {
    let pieces: Vec<&str> = sentence.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return vec![Span::Words(sentence)];
    }
    let span = |(at, piece)| if at % 2 == 0 { Span::Words(piece) } else { Span::Name(piece) };
    pieces.into_iter().enumerate().map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::{Span::*, spans};

    #[test]
    fn names_are_between_backticks() {
        assert_eq!(spans("`a` is not b"), [Words(""), Name("a"), Words(" is not b")]);
        assert_eq!(spans("an odd ` tick"), [Words("an odd ` tick")]);
    }
}
