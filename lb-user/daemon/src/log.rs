//! Logs: to stderr, as text for people or JSON for machines.
//!
//! The environment variable [`FILTER_VARIABLE`] says how much (`debug`, or per module as
//! `info,daemon=trace`); `info` without it. Not here: log files and their rotation, which are
//! journald's.

use std::{
    env, fmt,
    io::{self, IsTerminal as _},
    str::FromStr,
};

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt::MakeWriter};

/// What says how much is logged.
pub const FILTER_VARIABLE: &str = "VIADUCT_LOG";

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line, the fields of the event at its top level.
    Json,
}

/// A word that names no [`Format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log format: write `text` or `json`")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter is not one.
    #[error("{FILTER_VARIABLE}: cannot read the filter `{filter}`")]
    Filter {
        /// What it says.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Set up a second time.
    #[error("logging is set up already")]
    Again,
}

/// Sets up logging for the process, once.
///
/// # Errors
/// A filter that cannot be read; a second call.
pub fn init(format: Format) -> Result<(), InitError> {
    let filter = filter(env::var(FILTER_VARIABLE).ok())?;
    let colour = io::stderr().is_terminal();
    let subscriber = subscriber(format, filter, colour, io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|_set| InitError::Again)
}

fn filter(text: Option<String>) -> Result<EnvFilter, InitError> {
    let filter = text
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "info".to_owned());
    EnvFilter::try_new(&filter).map_err(|source| InitError::Filter { filter, source })
}

fn subscriber<W>(
    format: Format,
    filter: EnvFilter,
    colour: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    match format {
        Format::Text => Box::new(builder.with_ansi(colour).finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter_text: &str, log: impl Fn()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let filter = filter(Some(filter_text.to_owned())).unwrap();
        let subscriber = subscriber(format, filter, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_has_message_and_fields_at_the_top() {
        let line = logged(Format::Json, "", || tracing::info!(generation = 3, "ready"));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["message"], "ready");
        assert_eq!(json["generation"], 3);
        assert_eq!(json["level"], "INFO");
    }

    #[test]
    fn text_is_one_plain_line() {
        let line = logged(Format::Text, "", || tracing::info!(generation = 3, "ready"));
        assert!(line.ends_with("ready generation=3\n"), "{line:?}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }

    #[test]
    fn the_filter_decides_and_a_bad_one_is_refused() {
        let log = || tracing::debug!("detail");
        assert_eq!(logged(Format::Text, "", log), "");
        assert!(logged(Format::Text, "debug", log).contains("detail"));
        assert!(logged(Format::Text, "error,daemon=debug", log).contains("detail"));
        let error = filter(Some("daemon=loud".to_owned())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "VIADUCT_LOG: cannot read the filter `daemon=loud`"
        );
    }

    #[test]
    fn formats_are_words() {
        assert_eq!("json".parse(), Ok(Format::Json));
        assert_eq!(Format::Text.to_string().parse(), Ok(Format::Text));
        assert_eq!("xml".parse::<Format>(), Err(UnknownFormat));
    }
}
