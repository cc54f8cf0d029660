//! What a disk holds: the files as a running system sees them, and what of them a crash leaves.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk writes this much whole or not at all, and in no order before a sync.
pub const SECTOR: u64 = 512;
/// Files take disk in pages.
const PAGE: u64 = 4096;

/// A file's number; names lead to it.
pub type Inode = usize;

/// A change of what a disk holds.
#[derive(Clone, Debug)]
pub enum Change {
    Create(PathBuf),
    CreateFolder(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncFolder(PathBuf),
    Write(Inode, u64, Arc<[u8]>),
    SetLen(Inode, u64),
    Allocate(Inode, u64),
    Punch(Inode, u64, u64),
    Sync(Inode),
}

/// Names and files, as seen and as durable.
#[derive(Clone, Debug, Default)]
pub struct Platter {
    files: Vec<File>,
    names: Names,
    durable_names: Names,
    /// Changes of names whose folders were not synced since.
    loose: Vec<Rename>,
}

type Names = BTreeMap<PathBuf, Entry>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    File(Inode),
    Folder,
}

/// A change of names: one goes, one comes, or both at once.
#[derive(Clone, Debug)]
struct Rename {
    gone: Option<PathBuf>,
    come: Option<(PathBuf, Entry)>,
}

#[derive(Clone, Debug, Default)]
struct File {
    seen: Content,
    durable: Content,
    /// Changes since the last sync.
    loose: Vec<Change>,
    direct: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// Which pages take disk.
    pages: Vec<bool>,
}

impl Platter {
    /// Makes the change, as a running system sees it.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(path) => {
                if self.inode(path).is_none() {
                    self.files.push(File::default());
                    let entry = Entry::File(self.files.len() - 1);
                    self.rename(Rename { gone: None, come: Some((path.clone(), entry)) });
                }
            }
            Change::CreateFolder(path) => {
                self.rename(Rename { gone: None, come: Some((path.clone(), Entry::Folder)) });
            }
            Change::Rename(from, to) => {
                let entry = self.names[from];
                self.rename(Rename { gone: Some(from.clone()), come: Some((to.clone(), entry)) });
            }
            Change::Remove(path) => self.rename(Rename { gone: Some(path.clone()), come: None }),
            Change::SyncFolder(folder) => {
                let within = |path: &Path| path.parent() == Some(folder);
                let (synced, loose): (Vec<_>, _) = std::mem::take(&mut self.loose).into_iter().partition(|rename| {
                    let gone = rename.gone.as_deref().is_some_and(within);
                    gone || rename.come.as_ref().is_some_and(|(path, _)| within(path))
                });
                self.loose = loose;
                for rename in synced {
                    rename.apply(&mut self.durable_names);
                }
            }
            Change::Sync(inode) => self.files[*inode].sync(&mut || true),
            Change::Write(inode, ..)
            | Change::SetLen(inode, _)
            | Change::Allocate(inode, _)
            | Change::Punch(inode, ..) => {
                let file = &mut self.files[*inode];
                file.seen.apply(change, &mut || true);
                file.loose.push(change.clone());
            }
        }
    }

    /// A sync that failed: some of what it was to make durable is, and the rest never will be,
    /// though the running system may go on seeing it (`forget`: it does not).
    ///
    /// Of a file that is written past the cache all remains to be synced: it is the cache that takes
    /// its pages for written.
    pub fn fail_sync(&mut self, inode: Inode, keep: &mut dyn FnMut() -> bool, forget: bool) {
        let file = &mut self.files[inode];
        if file.direct {
            return;
        }
        for change in std::mem::take(&mut file.loose) {
            // Lengths are the file system's own, and in its journal.
            let data = matches!(change, Change::Write(..));
            file.durable.apply(&change, &mut || !data || keep());
        }
        if forget {
            file.seen = file.durable.clone();
        }
    }

    /// Writes to this file go past the cache from now on.
    pub fn set_direct(&mut self, inode: Inode) {
        self.files[inode].direct = true;
    }

    /// What is there after a crash: what was synced, and of each sector and name that was not what
    /// `keep` says.
    pub fn crash(&self, keep: &mut dyn FnMut() -> bool) -> Platter {
        let mut files = self.files.clone();
        for file in &mut files {
            file.sync(keep);
            file.seen = file.durable.clone();
        }
        let mut names = self.durable_names.clone();
        self.loose.iter().filter(|_| keep()).for_each(|rename| rename.apply(&mut names));
        let folders: Vec<PathBuf> =
            names.iter().filter(|(_, entry)| **entry == Entry::Folder).map(|(path, _)| path.clone()).collect();
        let there = |path: &Path| {
            path.ancestors()
                .skip(1)
                .all(|folder| folder == Path::new("/") || folders.iter().any(|there| there == folder))
        };
        names.retain(|path, _| there(path));
        Platter { files, durable_names: names.clone(), names, loose: Vec::new() }
    }

    pub fn inode(&self, path: &Path) -> Option<Inode> {
        match self.names.get(path)? {
            Entry::File(inode) => Some(*inode),
            Entry::Folder => None,
        }
    }

    pub fn has_folder(&self, path: &Path) -> bool {
        path == Path::new("/") || self.names.get(path) == Some(&Entry::Folder)
    }

    /// The paths in a folder.
    pub fn list(&self, folder: &Path) -> Vec<PathBuf> {
        self.names.keys().filter(|path| path.parent() == Some(folder)).cloned().collect()
    }

    /// The bytes of a file.
    pub fn bytes(&self, inode: Inode) -> &[u8] {
        &self.files[inode].seen.bytes
    }

    /// Bytes of disk that the named files take.
    pub fn used(&self) -> u64 {
        let inodes = self.names.values().filter_map(|entry| match entry {
            Entry::File(inode) => Some(*inode),
            Entry::Folder => None,
        });
        inodes.map(|inode| self.files[inode].seen.used()).sum()
    }

    /// How much more disk a change takes.
    pub fn growth(&self, change: &Change) -> u64 {
        let (inode, from, to) = match change {
            Change::Write(inode, offset, bytes) => (*inode, *offset, offset + length(bytes)),
            Change::Allocate(inode, length) => (*inode, 0, *length),
            _ => return 0,
        };
        let pages = from / PAGE..to.div_ceil(PAGE);
        length_of(pages.filter(|page| !self.files[inode].seen.has_page(*page)).count()) * PAGE
    }

    fn rename(&mut self, rename: Rename) {
        rename.apply(&mut self.names);
        self.loose.push(rename);
    }
}

impl Rename {
    fn apply(&self, names: &mut Names) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((path, entry)) = &self.come {
            names.insert(path.clone(), *entry);
        }
    }
}

impl File {
    fn sync(&mut self, keep: &mut dyn FnMut() -> bool) {
        for change in std::mem::take(&mut self.loose) {
            self.durable.apply(&change, keep);
        }
    }
}

impl Content {
    fn apply(&mut self, change: &Change, keep: &mut dyn FnMut() -> bool) {
        match change {
            Change::Write(_, offset, bytes) => {
                let mut from = *offset;
                let end = from + length(bytes);
                while from < end {
                    let until = end.min((from / SECTOR + 1) * SECTOR);
                    if keep() {
                        self.write(from, &bytes[index(from - offset)..index(until - offset)]);
                    }
                    from = until;
                }
            }
            Change::SetLen(_, length) if keep() => self.resize(*length),
            Change::Allocate(_, allocated) if keep() => {
                self.resize((*allocated).max(length(&self.bytes)));
                self.pages[..index(allocated.div_ceil(PAGE))].fill(true);
            }
            Change::Punch(_, offset, length) if keep() => {
                let until = self.bytes.len().min(index(offset + length));
                let from = index(*offset).min(until);
                self.bytes[from..until].fill(0);
                self.pages[index(offset.div_ceil(PAGE))..index((offset + length) / PAGE)].fill(false);
            }
            _ => {}
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + length(bytes);
        if end > length(&self.bytes) {
            self.resize(end);
        }
        self.bytes[index(offset)..index(end)].copy_from_slice(bytes);
        self.pages[index(offset / PAGE)..index(end.div_ceil(PAGE))].fill(true);
    }

    fn resize(&mut self, length: u64) {
        self.bytes.truncate(index(length));
        // Many times as fast as `resize` when nothing is optimized.
        self.bytes.extend_from_slice(&vec![0; index(length) - self.bytes.len()]);
        self.pages.resize(index(length.div_ceil(PAGE)), false);
    }

    fn has_page(&self, page: u64) -> bool {
        self.pages.get(index(page)).copied().unwrap_or_default()
    }

    fn used(&self) -> u64 {
        length_of(self.pages.iter().filter(|page| **page).count()) * PAGE
    }
}

fn length(bytes: &[u8]) -> u64 {
    length_of(bytes.len())
}

fn length_of(count: usize) -> u64 {
    u64::try_from(count).expect("a length fits 64 bits")
}

/// A place in memory; test disks are small.
pub fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a test's disk fits into memory")
}
