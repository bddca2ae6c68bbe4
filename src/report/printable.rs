//! Which parts of a text may reach a terminal. Names come from networks and reports that strangers wrote. An
//! escape sequence in a name could move the cursor or falsify the screen.

/// The replacement for a control character.
const REPLACED: char = '\u{fffd}';

/// The text with control characters replaced, except line breaks, tabs and colours (`ESC [ digits m`).
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let colour = colour(rest);
        let taken = if colour > 0 { colour } else { next.len_utf8() };
        match next {
            _ if colour > 0 => shown.push_str(&rest[..colour]),
            '\n' | '\t' => shown.push(next),
            control if control.is_control() => shown.push(REPLACED),
            plain => shown.push(plain),
        }
        rest = &rest[taken..];
    }
    shown
}

/// The number of bytes of a colour at the start of the text; 0 without one.
fn colour(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\x1b[") else { return 0 };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=2).contains(&digits) && rest.as_bytes().get(digits) == Some(&b'm') {
        "\x1b[".len() + digits + "m".len()
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_nothing_else_moves_the_screen() {
        assert_eq!(printable("\x1b[31mbad\x1b[0m\n\ta\u{e9}"), "\x1b[31mbad\x1b[0m\n\ta\u{e9}");
        assert_eq!(printable("a\x1b[2Jb\rc\x07\u{9b}"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}");
        assert_eq!(printable("\x1b[m\x1b[123m\x1b"), "\u{fffd}[m\u{fffd}[123m\u{fffd}");
    }
}
