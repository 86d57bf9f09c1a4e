//! Ports of a service or of a pool: one, a range, or all.
//!
//! Not here: which of two services is meant where ranges meet (`overlap`).

use std::fmt;

use daemon::diagnostic::nearest;
use toml::Spanned;

use super::{file::PortsText, findings::Findings};

/// Ports without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    /// The first; 0 only where it is all of them.
    pub first: u16,
    /// The last; not before the first.
    pub last: u16,
}

impl Ports {
    /// All ports.
    pub const ALL: Self = Self {
        first: 0,
        last: u16::MAX,
    };

    /// One port.
    #[must_use]
    pub const fn one(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    /// The port, where it is one.
    #[must_use]
    pub const fn single(self) -> Option<u16> {
        if self.first == self.last {
            Some(self.first)
        } else {
            None
        }
    }

    /// Whether it is all ports.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.first == 0 && self.last == u16::MAX
    }

    /// Whether a port is among them.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether there is a port in both.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(port) => port.fmt(f),
            None if self.is_all() => f.write_str("all"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Why a text is no range of ports.
pub(super) enum Wrong {
    /// Not of that form.
    Form,
    /// With a port that does not exist.
    Beyond,
    /// It ends before it starts.
    Backwards(Ports),
}

/// Reads `8000` or `8000-8099`.
pub(super) fn range(text: &str) -> Result<Ports, Wrong> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        let turned = Ports {
            first: last,
            last: first,
        };
        return Err(Wrong::Backwards(turned));
    }
    Ok(Ports { first, last })
}

fn number(text: &str) -> Result<u16, Wrong> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong::Form);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(Wrong::Beyond),
        Ok(port) => Ok(port),
    }
}

const CHOICE: &str = "write a port such as 80, a range such as \"8000-8099\", or \"all\"";

/// The key `port` of a service.
pub(super) fn from_file(
    value: &Spanned<PortsText>,
    findings: &mut Findings,
) -> Option<Spanned<Ports>> {
    let span = value.span();
    let text = match value.get_ref() {
        PortsText::Number(number) => {
            let port = findings.port(&Spanned::new(span.clone(), *number))?;
            return Some(Spanned::new(span, Ports::one(port.into_inner())));
        }
        PortsText::Text(text) if text == "all" => return Some(Spanned::new(span, Ports::ALL)),
        PortsText::Text(text) => text,
    };
    match range(text) {
        Ok(ports) => Some(Spanned::new(span, ports)),
        Err(Wrong::Form) => findings.refuse(span, format!("`{text}` is not a port"), meant(text)),
        Err(Wrong::Beyond) => {
            let help = match text.as_str() {
                "0-65535" => "write \"all\"",
                _ => "write ports from 1 to 65535",
            };
            findings.refuse(span, format!("port range {text} is out of range"), help)
        }
        Err(Wrong::Backwards(turned)) => {
            let message = format!("port range {text} ends before it starts");
            findings.refuse(span, message, format!("write \"{turned}\""))
        }
    }
}

/// A range may have been written as other programs do.
fn meant(text: &str) -> String {
    let dashed: String = text
        .replace("..", "-")
        .chars()
        .map(|c| if c == ':' { '-' } else { c })
        .filter(|c| !c.is_whitespace())
        .collect();
    if let (true, Ok(ports)) = (dashed != text, range(&dashed)) {
        return format!("did you mean \"{ports}\"?");
    }
    match nearest(text, ["all"]) {
        Some(_) => "did you mean \"all\"?".to_owned(),
        None => CHOICE.to_owned(),
    }
}
