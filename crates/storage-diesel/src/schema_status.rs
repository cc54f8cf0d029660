//! Which migrations a database has.

/// Which migrations a database has, by name, each list in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStatus {
    /// Those that it has and this version knows.
    pub applied: Vec<String>,
    /// Those that it lacks.
    pub pending: Vec<String>,
    /// Those that it has and this version does not know, by number.
    pub newer: Vec<String>,
}
