//! A server's text for a terminal: characters that would drive the terminal become visible escapes.
//! It must not know where text is printed.
//!
//! Without it a response could move the cursor, forge lines, set the window's title or, in some
//! terminals, type into the shell. Bidirectional overrides let text read as another one.

use std::borrow::Cow;

/// Returns true if a terminal may take the character as a command: a control character (C0 without
/// tab and newline, DEL, C1) or a bidirectional override.
pub(super) fn drives_terminal(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}'
        | '\u{b}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}')
}

/// Returns text of several lines for a terminal, with `\u{1b}` for ESC. Tabs and line ends, `\r\n`
/// too, stay.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    replace(text, visible, |c, rest| match c {
        '\r' => !rest.starts_with('\n'),
        _ => drives_terminal(c),
    })
}

/// As [`lines`], but in one line, with `\n` for a newline.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    replace(text, visible, |c, _| c == '\n' || drives_terminal(c))
}

/// Returns the same compact JSON, with `\u009b` for U+009B. It has such characters in strings only.
pub(super) fn json(json: &str) -> Cow<'_, str> {
    // The characters fit into four digits.
    let escape = |c| format!("\\u{:04x}", u32::from(c));
    replace(json, escape, |c, _| drives_terminal(c))
}

fn visible(c: char) -> String {
    c.escape_default().to_string()
}

/// Replaces the characters that `is_replaced`, given each with the text that follows it, chooses.
fn replace(
    text: &str,
    escape: impl Fn(char) -> String,
    is_replaced: impl Fn(char, &str) -> bool,
) -> Cow<'_, str> {
    let mut replaced = String::new();
    let mut done = 0;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        if is_replaced(c, &text[end..]) {
            replaced.push_str(&text[done..at]);
            replaced.push_str(&escape(c));
            done = end;
        }
    }
    if done == 0 {
        return text.into();
    }
    replaced.push_str(&text[done..]);
    replaced.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_becomes_visible() {
        for (hostile, seen) in [
            ("\u{1b}[2Jgone", r"\u{1b}[2Jgone"),
            ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
            ("\u{9b}2J", r"\u{9b}2J"),
            ("a\rb", r"a\rb"),
            ("a\0b\u{8}c\u{7f}", r"a\u{0}b\u{8}c\u{7f}"),
            ("\u{80}\u{9f}", r"\u{80}\u{9f}"),
            ("\u{202e}txt\u{202a}", r"\u{202e}txt\u{202a}"),
            ("\u{2066}a\u{2069}", r"\u{2066}a\u{2069}"),
        ] {
            assert_eq!(lines(hostile), seen);
            assert_eq!(line(hostile), seen);
        }
    }

    #[test]
    fn text_stays_as_it_is() {
        for harmless in [
            "",
            "a\tb",
            "ä 日本 שלום 🦀",
            "a\u{a0}b\u{200f}",
            r"C:\new\u{1b}",
        ] {
            assert!(matches!(lines(harmless), Cow::Borrowed(text) if text == harmless));
            assert!(matches!(line(harmless), Cow::Borrowed(text) if text == harmless));
        }
    }

    #[test]
    fn a_newline_ends_a_line_unless_there_is_one_only() {
        assert_eq!(lines("a\nb\r\nc\r"), "a\nb\r\nc\\r");
        assert_eq!(line("a\nb\r\nc\r"), r"a\nb\r\nc\r");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let hostile: String = ('\0'..='\u{a0}')
            .chain("\u{202e}\u{2069}ä".chars())
            .collect();
        let plain = serde_json::to_string(&hostile).unwrap();
        let escaped = json(&plain);
        assert!(escaped.contains(r"\u007f\u0080"), "{escaped}");
        assert!(escaped.ends_with("\u{a0}\\u202e\\u2069ä\""), "{escaped}");
        assert!(!escaped.contains(drives_terminal), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), hostile);
    }
}
