//! Reading a backup: all of it is verified before anything is done with it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use sha2::{Digest, Sha256};
use tar::{Archive, Entry};

use super::{KeyFile, MANIFEST, Manifest, SUMS, key_name, sum_line};
use crate::rows::Row;
use crate::transfer::TransferError;
use crate::transfer::moving::Source;

/// The longest entry with rows. One of 500 rows with the longest texts that requests may bring has a tenth of it.
const LONGEST_PART: u64 = 512 << 20;
/// The longest manifest, and the longest key.
const LONGEST_HEAD: u64 = 1 << 20;

/// A backup that was verified: whole, unaltered, and of tables that this version knows.
pub struct Backup {
    file: File,
    manifest: Manifest,
    keys: Vec<KeyFile>,
    parts: VecDeque<Part>,
}

/// Some rows of a table, where they stand in the file.
struct Part {
    table: String,
    at: u64,
    size: u64,
}

impl Backup {
    /// Read a file to its end and hold everything in it against its digest and its count.
    pub async fn verify(file: File) -> Result<Self, TransferError> {
        let mut reading = Reading::default();
        let mut archive = Archive::new(&file);
        for entry in archive.entries().map_err(unreadable)? {
            reading.entry(entry.map_err(unreadable)?).await?;
        }
        let manifest = reading.finish()?;
        let Reading { keys, parts, .. } = reading;
        Ok(Self { file, manifest, keys, parts })
    }

    /// What it says of itself.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The private signing keys in it.
    pub fn keys(&self) -> &[KeyFile] {
        &self.keys
    }
}

/// What was read of a file so far.
#[derive(Default)]
struct Reading {
    manifest: Option<Manifest>,
    keys: Vec<KeyFile>,
    parts: VecDeque<Part>,
    /// Rows of each table.
    rows: BTreeMap<String, u64>,
    /// What the last entry has to say.
    sums: String,
    is_ended: bool,
}

impl Reading {
    async fn entry(&mut self, mut entry: Entry<'_, &File>) -> Result<(), TransferError> {
        let name = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
        if self.is_ended {
            return Err(TransferError::damaged(format!("{name} follows its end")));
        }
        match (&self.manifest, name.split_once('/')) {
            (None, _) if name == MANIFEST => {
                let bytes = self.read(&mut entry, &name, LONGEST_HEAD)?;
                self.manifest = Some(Manifest::read(&bytes).await?);
            }
            (Some(_), Some(("tables", rest))) => {
                let (at, size) = (entry.raw_file_position(), entry.size());
                let lines = self.read_lines(&mut entry, &name)?;
                let table = rest.split('/').next().unwrap_or_default().to_owned();
                *self.rows.entry(table.clone()).or_default() += lines;
                self.parts.push_back(Part { table, at, size });
            }
            (Some(manifest), Some(("keys", _))) => {
                let id = manifest.keys.iter().copied().find(|id| key_name(*id) == name);
                let id = id.ok_or_else(|| TransferError::damaged(format!("its manifest does not name {name}")))?;
                let bytes = self.read(&mut entry, &name, LONGEST_HEAD)?;
                self.keys.push(KeyFile { id, bytes });
            }
            (Some(_), None) if name == SUMS => {
                let mut told = String::new();
                let read = entry.take(self.sums.len() as u64 + 1).read_to_string(&mut told);
                if read.is_err() || told != self.sums {
                    return Err(TransferError::damaged("its digests are not those of what is in it"));
                }
                self.is_ended = true;
            }
            (None, _) => return Err(TransferError::damaged("it does not begin with a manifest")),
            (Some(_), _) => return Err(TransferError::damaged(format!("{name} does not belong in it"))),
        }
        Ok(())
    }

    /// The bytes of an entry, `longest` at most.
    fn read(&mut self, entry: &mut Entry<'_, &File>, name: &str, longest: u64) -> Result<Vec<u8>, TransferError> {
        let mut bytes = Vec::new();
        entry.take(longest).read_to_end(&mut bytes).map_err(unreadable)?;
        self.note(name, entry.size(), bytes.len() as u64, &Sha256::digest(&bytes))?;
        Ok(bytes)
    }

    /// The lines of an entry, counted.
    fn read_lines(&mut self, entry: &mut Entry<'_, &File>, name: &str) -> Result<u64, TransferError> {
        let (mut digest, mut lines, mut size) = (Sha256::new(), 0, 0);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = entry.read(&mut buffer).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
            lines += buffer[..read].split(|byte| *byte == b'\n').skip(1).count() as u64;
            size += read as u64;
        }
        if size > LONGEST_PART {
            return Err(TransferError::damaged(format!("{name} has {size} bytes, wanted at most {LONGEST_PART}")));
        }
        self.note(name, entry.size(), size, &digest.finalize())?;
        Ok(lines)
    }

    fn note(&mut self, name: &str, size: u64, read: u64, digest: &[u8]) -> Result<(), TransferError> {
        if size != read {
            return Err(TransferError::damaged(format!("{name} has {read} bytes, wanted {size}")));
        }
        self.sums.push_str(&sum_line(digest, name));
        Ok(())
    }

    /// What it says of itself, now that all of it was read.
    fn finish(&mut self) -> Result<Manifest, TransferError> {
        let manifest =
            self.manifest.take().ok_or_else(|| TransferError::damaged("it does not begin with a manifest"))?;
        if !self.is_ended {
            return Err(TransferError::damaged("it ends too early"));
        }
        if !manifest.keys.iter().eq(self.keys.iter().map(|key| &key.id)) {
            return Err(TransferError::damaged("its manifest names other keys than are in it"));
        }
        for table in &manifest.tables {
            let (name, wanted) = (&table.name, table.rows);
            let found = self.rows.remove(name).unwrap_or(0);
            if wanted != found {
                return Err(TransferError::damaged(format!(
                    "it has {found} rows of the table {name}, wanted {wanted}"
                )));
            }
        }
        match self.rows.keys().next() {
            Some(unknown) => Err(TransferError::damaged(format!("its manifest does not name the table {unknown}"))),
            None => Ok(manifest),
        }
    }
}

impl Source for Backup {
    fn name(&self) -> String {
        "the backup".to_owned()
    }

    async fn count<R: Row>(&mut self) -> Result<u64, TransferError> {
        Ok(self.manifest.rows(R::TABLE))
    }

    async fn page<R: Row>(&mut self, _: Option<&R>) -> Result<Vec<R>, TransferError> {
        let is_next = self.parts.front().is_some_and(|part| part.table == R::TABLE);
        let Some(part) = self.parts.pop_front_if(|_| is_next) else { return Ok(Vec::new()) };
        let mut text = String::new();
        let file = &mut self.file;
        let read = file.seek(SeekFrom::Start(part.at)).and_then(|_| file.take(part.size).read_to_string(&mut text));
        read.map_err(|error| TransferError::File { doing: "read", error })?;
        let row = |line| serde_json::from_str(line);
        let rows = text.lines().map(row).collect::<Result<Vec<R>, _>>();
        rows.map_err(|error| TransferError::damaged(format!("a row of the table {}: {error}", R::TABLE)))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn unreadable(error: std::io::Error) -> TransferError {
    TransferError::damaged(error.to_string())
}
