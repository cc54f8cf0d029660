//! Writing a backup: one entry after another, each page of rows one of them.

use std::io::Write;

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::{KeyFile, MANIFEST, Manifest, SUMS, key_name, part_name, sum_line};
use crate::rows::Row;
use crate::transfer::TransferError;
use crate::transfer::moving::Sink;

/// A backup that is being written.
pub(in crate::transfer) struct Writing<W: Write> {
    tar: Builder<W>,
    sums: String,
    /// When it was begun, in seconds since the Unix epoch.
    begun: u64,
    table: &'static str,
    parts: u32,
    rows: u64,
}

impl<W: Write> Writing<W> {
    /// Begin with what it says of itself and with the keys.
    pub(in crate::transfer) fn begin(to: W, manifest: &Manifest, keys: &[KeyFile]) -> Result<Self, TransferError> {
        let begun = u64::try_from(manifest.created.as_millis() / 1_000).unwrap_or(0);
        let mut writing = Self { tar: Builder::new(to), sums: String::new(), begun, table: "", parts: 0, rows: 0 };
        let text = serde_json::to_vec_pretty(manifest).map_err(std::io::Error::from);
        text.and_then(|text| writing.entry(MANIFEST, &text)).map_err(cannot)?;
        for key in keys {
            writing.entry(&key_name(key.id), &key.bytes).map_err(cannot)?;
        }
        Ok(writing)
    }

    /// End with the digests of all that was written.
    pub(in crate::transfer) fn end(mut self) -> Result<W, TransferError> {
        let sums = std::mem::take(&mut self.sums);
        self.entry(SUMS, sums.as_bytes()).map_err(cannot)?;
        self.tar.into_inner().map_err(cannot)
    }

    fn entry(&mut self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(self.begun);
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, name, bytes)?;
        self.sums.push_str(&sum_line(&Sha256::digest(bytes), name));
        Ok(())
    }
}

impl<W: Write> Sink for Writing<W> {
    fn name(&self) -> String {
        "the backup".to_owned()
    }

    async fn put<R: Row>(&mut self, rows: &[R]) -> Result<(), TransferError> {
        if self.table != R::TABLE {
            (self.table, self.parts, self.rows) = (R::TABLE, 0, 0);
        }
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row).map_err(|error| cannot(error.into()))?;
            lines.push(b'\n');
        }
        self.parts += 1;
        self.rows += rows.len() as u64;
        self.entry(&part_name(R::TABLE, self.parts), &lines).map_err(cannot)
    }

    async fn count<R: Row>(&mut self) -> Result<u64, TransferError> {
        Ok(if self.table == R::TABLE { self.rows } else { 0 })
    }
}

fn cannot(error: std::io::Error) -> TransferError {
    TransferError::File { doing: "written", error }
}
