//! Which migrations a database has.

use std::collections::BTreeSet;

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource, Result};

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

impl SchemaStatus {
    /// How a database stands that has the migrations with the numbers `applied`, beside those that this version has.
    pub(crate) fn of<DB: Backend>(ours: &impl MigrationSource<DB>, applied: &BTreeSet<String>) -> Result<Self> {
        let mut known: Vec<Box<dyn Migration<DB>>> = ours.migrations()?;
        known.sort_by_key(|migration| migration.name().version().to_string());
        let mut status = Self { applied: Vec::new(), pending: Vec::new(), newer: Vec::new() };
        let mut numbers = BTreeSet::new();
        for migration in known {
            let number = migration.name().version().to_string();
            let list = if applied.contains(&number) { &mut status.applied } else { &mut status.pending };
            list.push(migration.name().to_string());
            numbers.insert(number);
        }
        status.newer = applied.difference(&numbers).cloned().collect();
        Ok(status)
    }
}
