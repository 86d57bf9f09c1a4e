//! What happens in the flow table: each has a counter.

/// An event of the flow table: index of its counter in `FLOW_EVENTS`, label in metrics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
pub enum FlowEvent {
    /// An entry was made.
    Recorded,
    /// An entry that had expired, and that nobody had swept up yet, was taken for another.
    Reused,
    /// An entry of one packet, or of a connection that was reset, gave way to a newer one.
    Displaced,
    /// A bucket was full of established flows: the flow goes by the ring, without an entry.
    Untracked,
    /// The same, where there is no way without an entry (fullnat): the packet was dropped.
    Refused,
}

impl FlowEvent {
    /// All of them, in the order of their numbers.
    pub const ALL: &[Self] = &[
        Self::Recorded,
        Self::Reused,
        Self::Displaced,
        Self::Untracked,
        Self::Refused,
    ];
    /// How many there are: entries of `FLOW_EVENTS`.
    #[expect(clippy::cast_possible_truncation, reason = "a handful")]
    pub const COUNT: u32 = Self::ALL.len() as u32;

    /// Its name in metrics and in `viaduct status`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Reused => "reused",
            Self::Displaced => "displaced",
            Self::Untracked => "untracked",
            Self::Refused => "refused",
        }
    }
}
