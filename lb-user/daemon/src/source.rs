//! A text file as errors point into it: lines, columns, and the excerpt with the caret.
//!
//! Not here: what is wrong with the text ([`crate::diagnostic`]).

use std::{fmt, ops::Range};

/// The widest excerpt of a line, in characters: a longer line is cut around the span.
const MAX_WIDTH: usize = 120;
/// How many characters a cut line shows before the span.
const LEAD: usize = 30;
/// What a tab is shown as, so that the caret stands under what it points to.
const TAB: &str = "    ";

/// A named text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    name: String,
    text: String,
    /// Byte offset of the first character of each line; never empty.
    line_starts: Vec<usize>,
}

/// A place in a text as editors count: both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1; a tab is one.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl SourceFile {
    /// `name` is what stands before the line number in a message: the path as the operator gave it.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        Self {
            name: name.into(),
            text,
            line_starts,
        }
    }

    /// The name given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a byte offset is. One past the end, or inside a character, is taken for the nearest
    /// character before it.
    #[must_use]
    pub fn location(&self, offset: usize) -> Location {
        let offset = self.floor(offset);
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = self.line_starts[line - 1];
        Location {
            line,
            column: self.text[start..offset].chars().count() + 1,
        }
    }

    /// The line a span starts in, with a line of carets under the part of it that the span covers;
    /// `gutter` is the width of the column of line numbers.
    pub(crate) fn excerpt(&self, span: &Range<usize>, gutter: usize) -> String {
        let start = self.floor(span.start);
        let line = self.location(start).line;
        let line_start = self.line_starts[line - 1];
        let text = self.line(line);
        // A span that goes on in the next line, or points at the end of this one.
        let at = (start - line_start).min(text.len());
        let end = self
            .floor(span.end)
            .saturating_sub(line_start)
            .clamp(at, text.len());
        let (shown, lead) = cut(text, at);
        let spaces = " ".repeat(lead + width(&shown.before));
        let carets = "^".repeat(width(&text[at..end]).clamp(1, MAX_WIDTH));
        let shown = format!("{}{}", shown.before, shown.rest);
        let dots = if lead > 0 { "..." } else { "" };
        let blank = "";
        format!(
            "{blank:gutter$} |\n{line:gutter$} | {dots}{}\n{blank:gutter$} | {spaces}{carets}\n",
            shown.trim_end(),
        )
    }

    /// A line, from 1, without its line end.
    fn line(&self, line: usize) -> &str {
        let start = self.line_starts[line - 1];
        let end = self
            .line_starts
            .get(line)
            .map_or(self.text.len(), |&next| next - 1);
        let text = &self.text[start..end];
        text.strip_suffix('\r').unwrap_or(text)
    }

    fn floor(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        (0..=offset)
            .rev()
            .find(|&at| self.text.is_char_boundary(at))
            .unwrap_or(0)
    }
}

/// A line as it is shown: what stands before the span, and the rest.
struct Shown {
    before: String,
    rest: String,
}

/// Cuts a line around the byte `at`; says how wide the dots before it are.
fn cut(text: &str, at: usize) -> (Shown, usize) {
    let skip = match text[..at].chars().count() {
        before if before + LEAD > MAX_WIDTH => before - LEAD,
        _ => 0,
    };
    let before: String = text[..at].chars().skip(skip).collect();
    let rest: String = text[at..].chars().take(MAX_WIDTH).collect();
    let lead = if skip > 0 { 3 } else { 0 };
    (
        Shown {
            before: visible(&before),
            rest: visible(&rest),
        },
        lead,
    )
}

/// A text as a terminal may show it: tabs widened, and no other control characters, which could
/// repaint the screen.
pub(crate) fn visible(text: &str) -> String {
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.split('\t')
        .map(|part| part.chars().map(safe).collect())
        .collect::<Vec<String>>()
        .join(TAB)
}

fn width(text: &str) -> usize {
    visible(text).chars().count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SourceFile;

    fn at(text: &str, offset: usize) -> String {
        SourceFile::new("t", text).location(offset).to_string()
    }

    #[test]
    fn lines_and_columns_are_an_editors() {
        assert_eq!(at("", 0), "1:1");
        assert_eq!(at("ab\ncd", 1), "1:2");
        assert_eq!(at("ab\ncd", 2), "1:3", "the line end belongs to its line");
        assert_eq!(at("ab\ncd", 3), "2:1");
        assert_eq!(at("ab\ncd", 99), "2:3", "past the end is the end");
        assert_eq!(at("ab\r\ncd", 4), "2:1");
        assert_eq!(at("\tx", 1), "1:2");
        assert_eq!(at("é = ü", 5), "1:5", "characters, not bytes");
        assert_eq!(at("é", 1), "1:1", "inside a character is that character");
    }

    #[test]
    fn carets_stand_under_what_they_point_to() {
        let source = SourceFile::new("t", "a = 1\r\n\tname = \"ü\"\t# x\r\nlast");
        let excerpt = |text: &str| {
            let start = source.text().find(text).unwrap();
            source.excerpt(&(start..start + text.len()), 1)
        };
        assert_eq!(excerpt("1"), "  |\n1 | a = 1\n  |     ^\n");
        assert_eq!(
            excerpt("\"ü\""),
            "  |\n2 |     name = \"ü\"    # x\n  |            ^^^\n"
        );
        assert_eq!(excerpt("last"), "  |\n3 | last\n  | ^^^^\n");
        assert_eq!(
            excerpt("x\r\nlast"),
            "  |\n2 |     name = \"ü\"    # x\n  |                     ^\n"
        );
    }

    #[test]
    fn the_end_of_a_line_and_of_the_file_can_be_pointed_at() {
        let source = SourceFile::new("t", "a =\nb");
        assert_eq!(source.excerpt(&(3..3), 1), "  |\n1 | a =\n  |    ^\n");
        assert_eq!(source.excerpt(&(5..5), 1), "  |\n2 | b\n  |  ^\n");
        assert_eq!(
            SourceFile::new("t", "").excerpt(&(0..0), 1),
            "  |\n1 | \n  | ^\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_span() {
        let text = format!("{}HERE{}", "a".repeat(1000), "b".repeat(1000));
        let excerpt = SourceFile::new("t", text).excerpt(&(1000..1004), 1);
        let lines: Vec<&str> = excerpt.lines().collect();
        assert_eq!(lines[1].find("HERE"), lines[2].find('^'));
        assert!(lines[1].len() < 200, "{excerpt}");
        assert!(lines[2].ends_with(" ^^^^"), "{excerpt}");
    }

    #[test]
    fn a_file_cannot_paint_the_terminal() {
        let source = SourceFile::new("t", "a = \u{1b}[31m");
        assert_eq!(
            source.excerpt(&(4..5), 1),
            "  |\n1 | a = \u{fffd}[31m\n  |     ^\n"
        );
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_can_be_shown(
            text in "(\\PC|[\t\r\n\u{1b}é]){0,40}", start in 0_usize..60, length in 0_usize..60,
        ) {
            let source = SourceFile::new("t", text);
            let excerpt = source.excerpt(&(start..start + length), 2);
            prop_assert_eq!(excerpt.lines().count(), 3);
            prop_assert!(excerpt.contains('^'));
        }
    }
}
