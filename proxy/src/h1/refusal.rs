//! Why a message is not taken. A closed list: it is the label of a metric and stands in the answer.
//!
//! Not here: finding it out.

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A line that ends in a line feed alone (RFC 9112 section 2.2 lets a server take it; then two
    /// readers see two messages).
    #[error("a line ends without CR LF")]
    LineEnd,
    /// A first line, name or value that is none; also folded lines and space before a colon.
    #[error("malformed head")]
    Syntax,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("unsupported HTTP version")]
    Version,
    /// A target that is no path, or a path that leads upwards.
    #[error("malformed request target")]
    Target,
    /// No `Host` in HTTP/1.1, several, or one that is none or is not the target's.
    #[error("missing or conflicting Host")]
    Host,
    /// A `Content-Length` that is no number, or several.
    #[error("malformed Content-Length")]
    Length,
    /// `Content-Length` beside `Transfer-Encoding`, or the latter in HTTP/1.0 or ending in something
    /// else than `chunked`.
    #[error("conflicting Content-Length and Transfer-Encoding")]
    Framing,
    /// A transfer coding beside `chunked`.
    #[error("unsupported transfer coding")]
    Coding,
    /// A method that is for proxies of another kind.
    #[error("CONNECT is not served")]
    Connect,
    /// An expectation other than `100-continue`.
    #[error("unknown expectation")]
    Expectation,
    /// More bytes than a head may have.
    #[error("head too large")]
    HeadTooLarge,
    /// More lines than a head may have.
    #[error("too many headers")]
    TooManyHeaders,
    /// A longer target than is allowed.
    #[error("request target too long")]
    TargetTooLong,
    /// A longer body than is allowed.
    #[error("body too large")]
    BodyTooLarge,
    /// A body whose chunks are none.
    #[error("malformed chunked body")]
    Chunk,
    /// Bytes after the trailers' limit.
    #[error("trailers too large")]
    Trailers,
    /// The message ends in the middle.
    #[error("the message ends too early")]
    Truncated,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::LineEnd,
        Self::Syntax,
        Self::Version,
        Self::Target,
        Self::Host,
        Self::Length,
        Self::Framing,
        Self::Coding,
        Self::Connect,
        Self::Expectation,
        Self::HeadTooLarge,
        Self::TooManyHeaders,
        Self::TargetTooLong,
        Self::BodyTooLarge,
        Self::Chunk,
        Self::Trailers,
        Self::Truncated,
    ];

    /// The status that a request is answered with for it (RFC 9110 section 15).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::LineEnd
            | Self::Syntax
            | Self::Target
            | Self::Host
            | Self::Length
            | Self::Framing
            | Self::Chunk
            | Self::Truncated => 400,
            Self::Version => 505,
            Self::Coding | Self::Connect => 501,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyHeaders | Self::Trailers => 431,
            Self::TargetTooLong => 414,
            Self::BodyTooLarge => 413,
        }
    }

    /// A short, stable word for a metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::LineEnd => "line_end",
            Self::Syntax => "syntax",
            Self::Version => "version",
            Self::Target => "target",
            Self::Host => "host",
            Self::Length => "length",
            Self::Framing => "framing",
            Self::Coding => "coding",
            Self::Connect => "connect",
            Self::Expectation => "expectation",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyHeaders => "too_many_headers",
            Self::TargetTooLong => "target_too_long",
            Self::BodyTooLarge => "body_too_large",
            Self::Chunk => "chunk",
            Self::Trailers => "trailers",
            Self::Truncated => "truncated",
        }
    }
}

impl From<httparse::Error> for Refusal {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::Version => Self::Version,
            httparse::Error::TooManyHeaders => Self::TooManyHeaders,
            httparse::Error::NewLine => Self::LineEnd,
            httparse::Error::HeaderName
            | httparse::Error::HeaderValue
            | httparse::Error::Status
            | httparse::Error::Token => Self::Syntax,
        }
    }
}
