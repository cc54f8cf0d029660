//! Puts blocks into the store for an import, in any order and as many as come.

use bytes::Bytes;
use cid::Cid;
use pinrail_block_store::{BlockStore, Committed, NodeKey, Put};
use pinrail_ipfs::hash::hash;
use pinrail_ipfs::links;
use pinrail_spec::multicodec::{RAW, SHA2_256};
use tokio::sync::mpsc;

use crate::UnixFsError;

/// Bytes that may be on their way to the disk.
const UNCOMMITTED_BYTES: usize = 64 << 20;

/// An import under way. Its blocks are held for a name of its own until the roots are known.
pub struct Importer<'a> {
    store: &'a BlockStore,
    name: NodeKey,
    done: mpsc::UnboundedSender<Committed>,
    committed: mpsc::UnboundedReceiver<Committed>,
    uncommitted: usize,
    waiting: usize,
}

/// An import's roots are never leased, so one epoch is enough.
const EPOCH: u64 = 1;

impl<'a> Importer<'a> {
    /// Begin an import with a name that no other one has.
    pub fn begin(store: &'a BlockStore, now_ms: u64) -> Result<Self, UnixFsError> {
        let name = sha2_256(RAW, format!("import {now_ms} of a pinrail").as_bytes());
        let name = NodeKey::from(&name);
        store.begin(name, EPOCH)?;
        let (done, committed) = mpsc::unbounded_channel();
        Ok(Self { store, name, done, committed, uncommitted: 0, waiting: 0 })
    }

    /// Store a block that we made.
    pub fn put(&mut self, codec: u64, bytes: Vec<u8>) -> Result<Cid, UnixFsError> {
        let cid = sha2_256(codec, &bytes);
        self.put_verified(&cid, bytes.into())?;
        Ok(cid)
    }

    /// Store a block whose bytes were held against its CID.
    pub fn put_verified(&mut self, cid: &Cid, bytes: Bytes) -> Result<(), UnixFsError> {
        let key = NodeKey::from(cid);
        if key.is_inline_leaf() {
            return Ok(());
        }
        let found = links(cid.codec(), &bytes).map_err(UnixFsError::links(cid))?;
        self.uncommitted += bytes.len();
        self.waiting += 1;
        self.store.import(Put {
            root: self.name,
            epoch: EPOCH,
            key,
            bytes,
            links: found.iter().map(NodeKey::from).collect(),
            done: self.done.clone(),
        });
        while self.uncommitted > UNCOMMITTED_BYTES {
            self.settle_one()?;
        }
        Ok(())
    }

    /// Wait until all blocks are durable.
    pub fn wait(&mut self) -> Result<(), UnixFsError> {
        while self.waiting > 0 {
            self.settle_one()?;
        }
        Ok(())
    }

    fn settle_one(&mut self) -> Result<(), UnixFsError> {
        let Some(answer) = self.committed.blocking_recv() else { return Ok(()) };
        self.waiting -= 1;
        self.uncommitted = self.uncommitted.saturating_sub(answer.size as usize);
        Ok(answer.result?)
    }

    /// The roots are pinned, so the blocks need the import's hold no longer.
    pub fn release(self) -> Result<(), UnixFsError> {
        Ok(self.store.release(self.name, EPOCH)?)
    }

    /// Nothing is pinned: hold the blocks until somebody may have done so.
    pub fn keep_for_a_day(self, now_ms: u64) -> Result<(), UnixFsError> {
        Ok(self.store.fail(self.name, EPOCH, now_ms)?)
    }
}

fn sha2_256(codec: u64, bytes: &[u8]) -> Cid {
    Cid::new_v1(codec, hash(SHA2_256, 32, bytes).expect("sha2-256 is among our functions"))
}
