//! The file of a backup: a tar archive with the rows of each table as lines of JSON, the private keys, and what
//! proves that it is whole. docs/decisions has its format.

mod manifest;
mod read;
mod write;

pub use manifest::{Manifest, TableManifest};
pub use read::Backup;
pub(super) use write::Writing;

/// A private signing key: the name of its file and what that holds.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The key's id.
    pub id: u32,
    /// The bytes of its file.
    pub bytes: Vec<u8>,
}

/// The entry that comes first.
const MANIFEST: &str = "manifest.json";
/// The entry that comes last, as `sha256sum` reads and writes it.
const SUMS: &str = "SHA256SUMS";
/// What a file of this format calls itself.
const FORMAT: &str = "pinrail-backup";
/// The version of the format.
const VERSION: u32 = 1;

fn key_name(id: u32) -> String {
    format!("keys/{id}.key")
}

fn part_name(table: &str, part: u32) -> String {
    format!("tables/{table}/{part:06}.jsonl")
}

/// A line of the last entry.
fn sum_line(digest: &[u8], name: &str) -> String {
    format!("{}  {name}\n", hex::encode(digest))
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("KeyFile").field("id", &self.id).finish_non_exhaustive()
    }
}
