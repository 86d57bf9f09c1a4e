//! Routing of QUIC by the server id in the connection id (draft-ietf-quic-load-balancers, not
//! encrypted): what a service and its real servers say for it.
//!
//! Not here: connection ids in packets.

use std::{fmt, ops::Range};

use daemon::{diagnostic::Diagnostic, site::Table};
use toml::Spanned;

use super::{file, findings::Findings, words::Protocol};

/// Bytes of a server id at most: with the shortest nonce, 4 bytes, and the first byte, a connection
/// id is full.
const LENGTH_MAX: u8 = 15;
/// Config 7 says that a connection id cannot be routed.
const CONFIG_MAX: u8 = 6;

/// How connection ids of a service are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quic {
    /// The config rotation bits, the first three of a connection id: 0 to 6. Others are not routed.
    pub config: u8,
    /// Bytes of a server id: 1 to 15.
    pub length: u8,
}

/// What a real server puts into the connection ids that it gives out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    /// Zero beyond the length.
    bytes: [u8; LENGTH_MAX as usize],
    length: u8,
}

impl ServerId {
    /// A server id of these bytes; `None` where there are none or too many.
    #[must_use]
    pub fn new(id: &[u8]) -> Option<Self> {
        let length = u8::try_from(id.len()).ok().filter(|length| *length > 0)?;
        let mut bytes = [0; LENGTH_MAX as usize];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { bytes, length })
    }

    /// Its bytes: 1 to 15.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or(&self.bytes)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect();
        Self::new(&bytes)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerId({self})")
    }
}

/// The table `quic` of a service. `Some(None)`: not given. `None`: given and wrong.
pub(super) fn from_file(
    table: Option<Table<file::Quic>>,
    protocol: Option<Protocol>,
    findings: &mut Findings,
) -> Option<Option<Spanned<Quic>>> {
    let Some(Table { span, value }) = table else {
        return Some(None);
    };
    let config = findings.required(value.config, &span, "config", "0");
    let config = config.and_then(|v| findings.number(&v, "config", (0, CONFIG_MAX)));
    let length = findings.required(value.length, &span, "length", "4");
    let length = length.and_then(|v| findings.number(&v, "length", (1, LENGTH_MAX)));
    if protocol == Some(Protocol::Tcp) {
        let message = "`quic` has no meaning with protocol \"tcp\"";
        let help = "leave it out, or use protocol \"udp\"";
        return findings.refuse(span, message, help);
    }
    let quic = Quic {
        config: config?.into_inner(),
        length: length?.into_inner(),
    };
    Some(Some(Spanned::new(span, quic)))
}

/// The key `server_id` of the real server at `table`, whose service says `quic`. `Some(None)`: it
/// needs none. `None`: there is a mistake.
pub(super) fn server_id(
    value: Option<Spanned<String>>,
    table: &Range<usize>,
    quic: Option<&Option<Spanned<Quic>>>,
    findings: &mut Findings,
) -> Option<Option<Spanned<ServerId>>> {
    // How long it has to be is not known where `quic` is wrong.
    let quic = quic?;
    match (quic, value) {
        (None, None) => Some(None),
        (None, Some(value)) => {
            let message = "`server_id` has no meaning without `quic`";
            let help = "leave it out, or add `quic = { config = 0, length = 4 }` to the service";
            findings.refuse(value.span(), message, help)
        }
        (Some(quic), value) => {
            let example = format!("\"{}\"", example(quic.get_ref()));
            let value = findings.required(value, table, "server_id", &example)?;
            id_of_length(&value, quic, findings).map(Some)
        }
    }
}

fn id_of_length(
    value: &Spanned<String>,
    quic: &Spanned<Quic>,
    findings: &mut Findings,
) -> Option<Spanned<ServerId>> {
    let text = value.get_ref();
    let length = usize::from(quic.get_ref().length);
    let example = example(quic.get_ref());
    let help = format!("write {} hexadecimal digits: \"{example}\"", 2 * length);
    let Some(id) = ServerId::parse(text) else {
        return findings.refuse(value.span(), format!("`{text}` is not a server id"), help);
    };
    let found = id.as_bytes().len();
    if found != length {
        let message = format!("a server id of length {found}, and here they have {length}");
        findings.push(
            Diagnostic::error(value.span(), message)
                .help(help)
                .note(quic.span(), "the length"),
        );
        return None;
    }
    Some(Spanned::new(value.span(), id))
}

/// As many bytes as it has to have, from 0a on.
fn example(quic: &Quic) -> String {
    (0x0a..)
        .take(quic.length.into())
        .fold(String::new(), |text, byte: u8| format!("{text}{byte:02x}"))
}
