//! The private signing keys: files in the data folder that only their owner can read. Their public halves are rows.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pinrail_domain::{KeyState, PublicKeyRecord, SigningKey};
use pinrail_storage::{SigningKeys, StorageError};
use pinrail_storage_diesel::transfer::KeyFile;

use crate::database::make_folder;
use crate::system::{now, random};

/// The folder with the private keys.
#[derive(Debug, Clone)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    /// The keys in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Where the private key with this id is, on the machine that made it.
    pub fn path(&self, id: u32) -> PathBuf {
        self.0.join(format!("{id}.key"))
    }

    /// Whether the private key with this id is here.
    pub fn has(&self, id: u32) -> bool {
        self.path(id).exists()
    }

    /// The private key to `public`; an error when it is not here, not readable, open to others, or another key.
    pub fn load(&self, public: &PublicKeyRecord) -> Result<SigningKey> {
        let path = self.path(public.id);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "the private half of signing key {} is not in {}, copy {}.key from the machine that made it, or make a \
                 new key with `pinrail-api key rotate`",
                public.id,
                self.0.display(),
                public.id
            ),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let mode = fs::metadata(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        if mode.permissions().mode() & 0o077 != 0 {
            bail!("{} can be read by others, wanted mode 0600: chmod 600 {0}", path.display());
        }
        let key = SigningKey::parse(public.id, &text).with_context(|| path.display().to_string())?;
        if key.public(public.created).public_key != public.public_key {
            bail!("{} is not the key {} of this database", path.display(), public.id);
        }
        Ok(key)
    }

    /// Write a private key, durably, before anything is signed with it.
    fn save(&self, key: &SigningKey) -> Result<()> {
        self.write(key.id(), format!("{}\n", key.to_text()).as_bytes())
    }

    fn write(&self, id: u32, bytes: &[u8]) -> Result<()> {
        make_folder(&self.0)?;
        let path = self.path(id);
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            sync_folder(&self.0)
        };
        write().with_context(|| format!("the signing key {} cannot be written", path.display()))
    }

    fn remove(&self, id: u32) -> Result<()> {
        let path = self.path(id);
        let remove = || fs::remove_file(&path).and_then(|()| sync_folder(&self.0));
        remove().with_context(|| format!("the signing key {} cannot be deleted", path.display()))
    }

    /// The private keys that are here, in the order of their ids.
    pub fn read_all(&self) -> Result<Vec<KeyFile>> {
        let cannot = || format!("the folder of signing keys {} cannot be read", self.0.display());
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries.collect::<Result<Vec<_>, _>>().with_context(cannot)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(cannot),
        };
        let id = |name: &OsStr| name.to_str()?.strip_suffix(".key")?.parse::<u32>().ok();
        let mut ids = entries.iter().filter_map(|entry| id(&entry.file_name())).collect::<Vec<_>>();
        ids.sort_unstable();
        let read = |id| {
            let path = self.path(id);
            let bytes = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            Ok(KeyFile { id, bytes })
        };
        ids.into_iter().map(read).collect()
    }

    /// Check that there is no other private key here than these.
    pub fn check_only(&self, keys: &[KeyFile]) -> Result<()> {
        for here in self.read_all()? {
            if !keys.contains(&here) {
                bail!("{} is another key than those in the backup, move it away first", self.path(here.id).display());
            }
        }
        Ok(())
    }

    /// Write those of the private keys that are not here yet.
    pub fn save_all(&self, keys: &[KeyFile]) -> Result<()> {
        keys.iter().filter(|key| !self.has(key.id)).try_for_each(|key| self.write(key.id, &key.bytes))
    }

    /// Make a new key and let it sign from now on; the one before goes on verifying what it signed.
    pub async fn rotate(&self, storage: &dyn SigningKeys) -> Result<SigningKey> {
        let known = storage.list_keys().await?;
        let mut id = known.iter().map(|key| key.id).max().unwrap_or(0) + 1;
        loop {
            // A file without a row is what a crash between the two left behind; it signed nothing.
            while self.has(id) {
                id += 1;
            }
            let key = SigningKey::new(id, random());
            self.save(&key)?;
            match storage.add_key(&key.public(now())).await {
                Ok(()) => return Ok(key),
                // Another machine has just taken this id; what is here under it would be a wrong key.
                Err(StorageError::Conflict(_)) => self.remove(id)?,
                Err(error) => return Err(error.into()),
            }
            id += 1;
        }
    }

    /// The key that signs new tokens; the first one is made when there is none.
    pub async fn active(&self, storage: &dyn SigningKeys) -> Result<SigningKey> {
        let known = storage.list_keys().await?;
        match known.iter().find(|key| key.state == KeyState::Active) {
            Some(public) => self.load(public),
            None if known.is_empty() => self.rotate(storage).await,
            None => bail!("no signing key is active, make one with `pinrail-api key rotate`"),
        }
    }
}

/// Make what was renamed or made in a folder durable.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
