//! What a backup says of itself, in its first entry.

use pinrail_domain::ServiceId;
use pinrail_spec::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FORMAT, VERSION};
use crate::rows::{EachTable, Row, each_table};
use crate::transfer::TransferError;
use crate::transfer::moving::Source;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `pinrail-backup`.
    pub format: String,
    /// The version of the format.
    pub version: u32,
    /// The version of the program that wrote it.
    pub made_by: String,
    /// The service that it is of.
    pub service: ServiceId,
    /// When it was begun: what was committed before is in it.
    pub created: Timestamp,
    /// The ids of the private signing keys in it.
    pub keys: Vec<u32>,
    /// The tables in the order in which they follow.
    pub tables: Vec<TableManifest>,
}

/// What a backup says of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableManifest {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// How many rows it has.
    pub rows: u64,
}

impl Manifest {
    /// Of what `from` holds.
    pub(in crate::transfer) async fn of(
        from: &mut impl Source,
        service: ServiceId,
        created: Timestamp,
        keys: Vec<u32>,
    ) -> Result<Self, TransferError> {
        let mut tables = Describe { from: Some(from), tables: Vec::new() };
        each_table(&mut tables).await?;
        let (tables, made_by) = (tables.tables, env!("CARGO_PKG_VERSION").to_owned());
        Ok(Self { format: FORMAT.to_owned(), version: VERSION, made_by, service, created, keys, tables })
    }

    /// Read it, and check that it is of a format and of tables that this version knows.
    pub(super) async fn read(bytes: &[u8]) -> Result<Self, TransferError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let wrong = |error: serde_json::Error| TransferError::damaged(format!("its manifest: {error}"));
        let head: Head = serde_json::from_slice(bytes).map_err(wrong)?;
        if head.format != FORMAT || head.version != VERSION {
            let found = format!("it is {} {}, wanted {FORMAT} {VERSION}", head.format, head.version);
            return Err(TransferError::damaged(found));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(wrong)?;
        let mut known = Describe::<super::Backup> { from: None, tables: Vec::new() };
        each_table(&mut known).await?;
        let shape = |table: &TableManifest| (table.name.clone(), table.columns.clone());
        if manifest.tables.iter().map(shape).ne(known.tables.iter().map(shape)) {
            return Err(TransferError::OtherTables { made_by: manifest.made_by });
        }
        Ok(manifest)
    }

    /// How many rows a table has.
    pub fn rows(&self, table: &str) -> u64 {
        self.tables.iter().find(|known| known.name == table).map_or(0, |known| known.rows)
    }
}

/// Describes the tables of this version, with the rows that a source has.
struct Describe<'a, F> {
    from: Option<&'a mut F>,
    tables: Vec<TableManifest>,
}

impl<F: Source> EachTable for Describe<'_, F> {
    async fn table<R: Row>(&mut self) -> Result<(), TransferError> {
        let rows = match &mut self.from {
            Some(from) => from.count::<R>().await?,
            None => 0,
        };
        let columns = R::COLUMNS.iter().map(|column| (*column).to_owned()).collect();
        self.tables.push(TableManifest { name: R::TABLE.to_owned(), columns, rows });
        Ok(())
    }
}
