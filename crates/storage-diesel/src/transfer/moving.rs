//! Rows on their way: page by page from where they are read to where they are written, and counted at both ends.

use super::TransferError;
use crate::rows::{EachTable, Row};

/// Where rows come from: a snapshot that does not change.
pub(super) trait Source {
    /// What it is called.
    fn name(&self) -> String;

    /// How many rows a table has.
    async fn count<R: Row>(&mut self) -> Result<u64, TransferError>;

    /// The rows after `last`, which ended the page before; none when that was all.
    async fn page<R: Row>(&mut self, last: Option<&R>) -> Result<Vec<R>, TransferError>;
}

/// Where rows go to.
pub(super) trait Sink {
    /// What it is called.
    fn name(&self) -> String;

    /// Add rows to a table.
    async fn put<R: Row>(&mut self, rows: &[R]) -> Result<(), TransferError>;

    /// How many rows the table has got.
    async fn count<R: Row>(&mut self) -> Result<u64, TransferError>;
}

/// How far it has come with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The table.
    pub table: &'static str,
    /// Its rows that were moved.
    pub rows: u64,
    /// Its rows.
    pub of: u64,
}

/// Who is told with each page how far it has come.
pub type Tell<'a> = &'a mut dyn FnMut(Moved);

/// Move all rows of all tables.
pub(super) struct Move<'a, F, T> {
    pub(super) from: &'a mut F,
    pub(super) to: &'a mut T,
    pub(super) tell: Tell<'a>,
}

impl<F: Source, T: Sink> EachTable for Move<'_, F, T> {
    async fn table<R: Row>(&mut self) -> Result<(), TransferError> {
        let wanted = self.from.count::<R>().await?;
        let mut moved = 0;
        let mut page = self.from.page::<R>(None).await?;
        while !page.is_empty() {
            self.to.put(&page).await?;
            moved += page.len() as u64;
            (self.tell)(Moved { table: R::TABLE, rows: moved, of: wanted });
            page = self.from.page(page.last()).await?;
        }
        agree::<R>(self.from.name(), wanted, moved)?;
        let arrived = self.to.count::<R>().await?;
        agree::<R>(self.to.name(), wanted, arrived)
    }
}

fn agree<R: Row>(place: String, wanted: u64, found: u64) -> Result<(), TransferError> {
    if wanted == found { Ok(()) } else { Err(TransferError::RowsDiffer { place, table: R::TABLE, wanted, found }) }
}
