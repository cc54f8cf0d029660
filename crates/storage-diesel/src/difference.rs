//! Where a counter and what it counts differ.

/// A counter that is not what it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which counter of what.
    pub what: String,
    /// What it says.
    pub stored: i64,
    /// What there is.
    pub counted: i64,
}
