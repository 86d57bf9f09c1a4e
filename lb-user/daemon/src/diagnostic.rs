//! What is wrong with a site file, told the way compilers tell it: file, line, column, the line
//! itself, a caret, and what to do.
//!
//! ```text
//! site.toml:14:1: error: unknown key `wieght`
//!    |
//! 14 | wieght = 5
//!    | ^^^^^^
//!    = help: did you mean `weight`?
//! ```
//!
//! Not here: finding what is wrong; that is [`crate::site`]'s for syntax and types, and each
//! daemon's for the meaning.

use std::{fmt, ops::Range};

use crate::source::{SourceFile, visible};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is not used.
    Error,
    /// It is used, but is hardly what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The offending part of the text, in bytes.
    pub span: Range<usize>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places that have to do with it, each with what it is.
    pub notes: Vec<(Range<usize>, String)>,
}

impl Diagnostic {
    /// An error at `span`.
    #[must_use]
    pub fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            severity: Severity::Error,
            span,
            message,
            help: None,
            notes: Vec::new(),
        }
    }

    /// A warning at `span`.
    #[must_use]
    pub fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(span, message)
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another place that has to do with it.
    #[must_use]
    pub fn note(mut self, span: Range<usize>, message: impl Into<String>) -> Self {
        self.notes.push((span, message.into()));
        self
    }
}

/// All that is wrong with one file, in the order of the file. Its `Display` is the whole story with
/// carets; [`Report::summary`] is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    source: SourceFile,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// The diagnostics of `source`, sorted here.
    #[must_use]
    pub fn new(source: SourceFile, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|d| (d.span.start, d.span.end, d.severity));
        Self {
            source,
            diagnostics,
        }
    }

    /// The file.
    #[must_use]
    pub fn source_file(&self) -> &SourceFile {
        &self.source
    }

    /// Everything found, in the order of the file.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether the file cannot be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Whether nothing was found at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// One line for a log or a status: the first error and how many more there are.
    #[must_use]
    pub fn summary(&self) -> String {
        let worst = self.diagnostics.iter().min_by_key(|d| d.severity);
        let Some(worst) = worst else {
            return format!("{}: nothing wrong", self.source.name());
        };
        let more = match self.diagnostics.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        format!(
            "{}{more}",
            self.headline(&worst.span, &worst.severity, &worst.message)
        )
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count()
    }

    fn headline(&self, span: &Range<usize>, kind: &impl fmt::Display, message: &str) -> String {
        let location = self.source.location(span.start);
        format!(
            "{}:{location}: {kind}: {}",
            visible(self.source.name()),
            visible(message)
        )
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, diagnostic: &Diagnostic) -> fmt::Result {
        let spans = std::iter::once(&diagnostic.span).chain(diagnostic.notes.iter().map(|n| &n.0));
        let last_line = spans
            .map(|span| self.source.location(span.start).line)
            .max()
            .unwrap_or(1);
        let gutter = last_line.to_string().len();
        let Diagnostic {
            severity,
            span,
            message,
            ..
        } = diagnostic;
        writeln!(f, "{}", self.headline(span, severity, message))?;
        f.write_str(&self.source.excerpt(span, gutter))?;
        if let Some(help) = &diagnostic.help {
            writeln!(f, "{:gutter$} = help: {}", "", visible(help))?;
        }
        for (span, message) in &diagnostic.notes {
            writeln!(f, "{}", self.headline(span, &"note", message))?;
            f.write_str(&self.source.excerpt(span, gutter))?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            self.write(f, diagnostic)?;
            writeln!(f)?;
        }
        let counted = |n: usize, word: &str| match n {
            0 => None,
            1 => Some(format!("1 {word}")),
            n => Some(format!("{n} {word}s")),
        };
        let errors = counted(self.count(Severity::Error), "error");
        let warnings = counted(self.count(Severity::Warning), "warning");
        let counts: Vec<String> = errors.into_iter().chain(warnings).collect();
        match counts.is_empty() {
            true => write!(f, "{}: nothing wrong", self.source.name()),
            false => write!(f, "{}: {}", self.source.name(), counts.join(", ")),
        }
    }
}

impl std::error::Error for Report {}

/// The known word nearest to a misspelt one, if any is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A hostile file could have a megabyte of a word; no word of ours is a tenth as long.
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&lower, known);
    let allowed = word.chars().count().div_ceil(3).max(1);
    let near = known.into_iter().map(|known| (distance(known), known));
    near.filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|near| near.0)
        .map(|near| near.1)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Diagnostic, Report, nearest};
    use crate::source::SourceFile;

    const TEXT: &str =
        "[[service]]\nname = \"web\"\n\n\n\n\n\n\n\n[[service]]\nname = \"web\"\nwieght = 5";

    fn report() -> Report {
        let at = |text: &str| {
            let start = TEXT.rfind(text).unwrap();
            start..start + text.len()
        };
        Report::new(
            SourceFile::new("site.toml", TEXT),
            vec![
                Diagnostic::error(at("wieght"), "unknown key `wieght`")
                    .help("did you mean `weight`?"),
                Diagnostic::error(at("\"web\""), "service `web` is defined twice")
                    .help("give each service a name of its own")
                    .note(19..24, "first defined here"),
                Diagnostic::warning(at("[[service]]"), "no real servers"),
            ],
        )
    }

    #[test]
    fn a_report_reads_like_a_compilers() {
        expect![[r#"
            site.toml:10:1: warning: no real servers
               |
            10 | [[service]]
               | ^^^^^^^^^^^

            site.toml:11:8: error: service `web` is defined twice
               |
            11 | name = "web"
               |        ^^^^^
               = help: give each service a name of its own
            site.toml:2:8: note: first defined here
               |
             2 | name = "web"
               |        ^^^^^

            site.toml:12:1: error: unknown key `wieght`
               |
            12 | wieght = 5
               | ^^^^^^
               = help: did you mean `weight`?

            site.toml: 2 errors, 1 warning"#]]
        .assert_eq(&report().to_string());
    }

    #[test]
    fn the_summary_is_the_first_error() {
        assert_eq!(
            report().summary(),
            "site.toml:11:8: error: service `web` is defined twice (and 2 more)"
        );
        let empty = Report::new(SourceFile::new("site.toml", ""), Vec::new());
        assert_eq!(empty.summary(), "site.toml: nothing wrong");
        assert!(empty.is_empty() && !empty.has_errors() && report().has_errors());
    }

    #[test]
    fn suggestions_are_near_or_none() {
        let known = ["weight", "address", "port"];
        assert_eq!(nearest("wieght", known), Some("weight"));
        assert_eq!(nearest("Weight", known), Some("weight"));
        assert_eq!(nearest("prot", known), Some("port"));
        assert_eq!(nearest("adress", known), Some("address"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
    }
}
