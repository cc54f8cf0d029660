//! Whose time the steps of those who accept requests go by.

/// Whose time due times, limits and the liveness of nodes are judged by, where a step is given the caller's.
///
/// Workers go by the database's clock anyway: they ask for it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeSource {
    /// The database's, whatever the caller's clock shows: of a server its own; of a file the greatest time that was ever
    /// stored in it, if that is later than the caller's.
    #[default]
    Database,
    /// The caller's, for tests that move the time.
    Caller,
}
