//! How the database and its queue stand, for an operator's eyes.

use pinrail_spec::Timestamp;

/// The most roots of one kind that are counted for [`Statistics`]: beyond it is many, whatever the number.
pub const COUNTED_ROOTS: usize = 10_000;

/// What a monitoring system is told of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Bytes that the database takes on its disk; 0 if it is on none.
    pub bytes: u64,
    /// Pin requests by the status that lists show, in the order of `Status::ALL`.
    pub requests: [u64; 4],
    /// Roots that are `queued` or `pinning`.
    pub unfinished: u64,
    /// Of them, those that wait for a peer that has them, up to [`COUNTED_ROOTS`].
    pub waiting: u64,
    /// Roots that nobody wants and that are still to be released, up to [`COUNTED_ROOTS`].
    pub releasing: u64,
    /// Roots that a worker holds a lease of.
    pub leased: u64,
    /// The longest due root of those that are due and not leased, by what is to be done.
    pub longest_due: LongestDue,
}

/// Since when the longest due root of each kind has been due; `None` where none is. Those of blocked accounts do not
/// count, and of the accounts that wait at most a thousand are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LongestDue {
    /// Roots that were never tried.
    pub queued: Option<Timestamp>,
    /// Roots that were tried and are no retries.
    pub pinning: Option<Timestamp>,
    /// Roots that are to be tried again.
    pub retry: Option<Timestamp>,
}
