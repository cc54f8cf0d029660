//! All file I/O of the store: a small trait, so that a test can put a failing disk in its place,
//! and the real one.
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, OFlags, fallocate, fcntl_getfl, fcntl_setfl, statvfs};

/// Writes that bypass the page cache begin, end and lie in memory at multiples of this.
pub(crate) const PAGE: u64 = 4096;

/// How a file is opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Through the page cache.
    Buffered,
    /// Past the page cache where the file system can: every write is aligned to 4 KiB in memory,
    /// offset and length.
    Direct,
}

/// The file system as the store uses it. Nothing is durable before it was synced: neither a file's
/// bytes nor its name in the folder.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Opens a file to read and write it, and makes it if it is not there.
    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to read it.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a folder and those above it.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// The paths in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Gives a file another name, in place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; one that is not there is fine.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Free bytes of the file system that holds the folder.
    fn free(&self, folder: &Path) -> io::Result<u64>;
    /// Locks a file for this process until it is dropped; `None` when it is locked already.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills the buffer from the offset, or fails with `UnexpectedEof`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes the whole buffer at the offset.
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
    /// Takes `length` bytes of disk for the file.
    fn allocate(&self, length: u64) -> io::Result<()>;
    /// Gives the disk under a range back; it reads as zeros, the length stays. A file system that
    /// cannot leaves it as it is.
    fn punch(&self, offset: u64, length: u64) -> io::Result<()>;
}

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        if access == Access::Direct {
            let flags = i32::try_from(OFlags::DIRECT.bits()).expect("open flags fit an int");
            match options.clone().custom_flags(flags).open(path) {
                Ok(file) => return Ok(Arc::new(SystemFile::new(file, path))),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Arc::new(SystemFile::new(options.open(path)?, path)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SystemFile::new(File::open(path)?, path)))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all().map_err(|error| about(folder, CANNOT_SYNC, error))
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        let stat = statvfs(folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(Locked(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(about(path, CANNOT_LOCK, error)),
        }
    }
}

/// A file that is locked. It is unlocked and not closed alone: a program that this one is just starting has it open too,
/// until it runs.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // What cannot be unlocked is when the last who has it open closes it.
        drop(self.0.unlock());
    }
}

const CANNOT_LOCK: &str = "cannot be locked, wanted a local disk: network shares may refuse locks";
const CANNOT_SYNC: &str = "cannot be synced, wanted a disk that does not fail: the system's log says more";
const CANNOT_ALLOCATE: &str = "cannot be given disk space, wanted a file system with fallocate, or `ballast = 0`";

/// The system's error with the file that it is about, what was tried and what is wanted.
#[derive(Debug, thiserror::Error)]
#[error("{} {what}", .path.display())]
struct Refused {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

fn about(path: &Path, what: &'static str, source: io::Error) -> io::Error {
    io::Error::new(source.kind(), Refused { path: path.to_owned(), what, source })
}

#[derive(Debug)]
struct SystemFile {
    file: File,
    path: PathBuf,
}

impl SystemFile {
    fn new(file: File, path: &Path) -> Self {
        Self { file, path: path.to_owned() }
    }
}

impl DiskFile for SystemFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<()> {
        match self.file.write_all_at(buffer, offset) {
            // Some file systems accept the flag and refuse the writes.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                fcntl_setfl(&self.file, fcntl_getfl(&self.file)? - OFlags::DIRECT)?;
                self.file.write_all_at(buffer, offset)
            }
            other => other,
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map_err(|error| about(&self.path, CANNOT_SYNC, error))
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let allocated = fallocate(&self.file, FallocateFlags::empty(), 0, length).map_err(io::Error::from);
        allocated.map_err(|error| about(&self.path, CANNOT_ALLOCATE, error))
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, offset, length) {
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            other => Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of the system's own can neither be synced nor given space.
    #[test]
    fn what_the_system_refuses_is_said_with_the_file_and_what_is_wanted() {
        let path = Path::new("/proc/self/comm");
        let file = SystemDisk.create(path, Access::Buffered).expect("a process may name itself");
        for (refused, wanted) in
            [(file.sync(), "wanted a disk that"), (file.allocate(1), "wanted a file system with fallocate")]
        {
            let told = refused.expect_err("it is no file on a disk").to_string();
            assert!(told.starts_with("/proc/self/comm cannot be ") && told.contains(wanted), "{told}");
        }
    }

    #[test]
    fn a_lock_ends_although_its_file_is_open_elsewhere() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let path = folder.path().join("lock");
        let file = File::create(&path).expect("it is made");
        file.try_lock().expect("nobody has it");
        let elsewhere = file.try_clone().expect("it is open twice");
        drop(Locked(file));
        assert!(SystemDisk.lock(&path).expect("it opens").is_some(), "it is locked still");
        drop(elsewhere);
    }
}
