//! The half of a fetch that walks the DAG: what is at hand is followed, what came is stored.

use bytes::Bytes;
use pinrail_block_store::{Adopt, Committed, NodeKey, Put, StoreError};
use pinrail_domain::DagSize;
use pinrail_ipfs::hash;
use pinrail_ipfs::{LinksError, READABLE_CODECS, links};
use tokio::time::Instant;

use super::{SHARED_BYTES, Session, VISITS, WINDOW_BLOCKS, Want, run_blocking, store_error};
use crate::fetch::FetchError;
use crate::fetch::walk::Next;

impl Session {
    /// Visit nodes while there is room for more wants; true if only the look at events made it stop.
    pub(super) async fn walk_ahead(&mut self) -> Result<bool, FetchError> {
        for _ in 0..VISITS {
            if self.wants.len() >= self.window() || self.uncommitted_bytes >= SHARED_BYTES / self.exchange.fetches() {
                return Ok(false);
            }
            match self.walk.next() {
                Next::Done => return Ok(false),
                Next::Visit(key) => self.visit(key).await?,
                Next::Reload(parent) => {
                    let known = self.store.links(&parent).map_err(store_error)?;
                    let known = known.ok_or_else(|| FetchError::unavailable("a block was removed"))?;
                    self.walk.push(parent, known.links);
                }
            }
        }
        Ok(true)
    }

    /// How many blocks may be asked for: small ones many, large ones few, and all fetches together not too much.
    pub(super) fn window(&self) -> usize {
        let fetches = self.exchange.fetches();
        let least = (WINDOW_BLOCKS.start() / fetches).max(2);
        (SHARED_BYTES / fetches / self.average.max(1)).clamp(least, *WINDOW_BLOCKS.end())
    }

    pub(super) async fn visit(&mut self, key: NodeKey) -> Result<(), FetchError> {
        if key.is_inline_leaf() {
            return Ok(());
        }
        if let Err(name) = hash::check_supported(&key.multihash) {
            return Err(FetchError::UnsupportedHash { cid: key.to_string(), hash: name });
        }
        if !READABLE_CODECS.contains(&key.codec) {
            return Err(FetchError::UnsupportedCodec { cid: key.to_string(), codec: key.codec });
        }
        if let Some(known) = self.store.links(&key).map_err(store_error)? {
            self.count(known.size as usize)?;
            add(&mut self.durable, known.size);
            self.report();
            self.walk.push(key, known.links);
            return Ok(());
        }
        if let Some(bytes) = key.identity_bytes() {
            return self.store_block(key, Bytes::copy_from_slice(bytes));
        }
        let store = self.store.clone();
        if store.size(&key.multihash).map_err(store_error)?.is_some()
            && let Some(bytes) = run_blocking(move || store.read(&key.multihash)).await?
        {
            return self.adopt(key, &bytes);
        }
        self.want(key);
        Ok(())
    }

    pub(super) fn want(&mut self, key: NodeKey) {
        if self.wants.is_empty() {
            self.idle_since = Instant::now();
        }
        let want = self.wants.entry(key.multihash).or_insert_with(|| {
            self.subscription.wait_for(key.multihash);
            self.unasked.push_back(key.multihash);
            Want::new()
        });
        want.keys.push(key);
    }

    /// Count a distinct node against the limit.
    pub(super) fn count(&mut self, size: usize) -> Result<(), FetchError> {
        add(&mut self.seen, u32::try_from(size).unwrap_or(u32::MAX));
        if self.seen.blocks > self.request.max_blocks {
            return Err(FetchError::TooManyBlocks { limit: self.request.max_blocks });
        }
        if self.seen.bytes > self.request.max_bytes {
            return Err(FetchError::TooLarge { limit: self.request.max_bytes });
        }
        Ok(())
    }

    pub(super) fn store_block(&mut self, key: NodeKey, bytes: Bytes) -> Result<(), FetchError> {
        self.count(bytes.len())?;
        let links = read_links(&key, &bytes)?;
        self.note_uncommitted(key, bytes.len());
        let (root, epoch, done) = (self.request.root, self.request.epoch, self.done.clone());
        self.store.put(Put { root, epoch, key, bytes, links: links.clone(), done });
        self.walk.push(key, links);
        Ok(())
    }

    pub(super) fn adopt(&mut self, key: NodeKey, bytes: &[u8]) -> Result<(), FetchError> {
        self.count(bytes.len())?;
        let links = read_links(&key, bytes)?;
        self.note_uncommitted(key, bytes.len());
        let (root, epoch, done) = (self.request.root, self.request.epoch, self.done.clone());
        self.store.adopt(Adopt { root, epoch, key, links: links.clone(), done });
        self.walk.push(key, links);
        Ok(())
    }

    pub(super) fn note_uncommitted(&mut self, key: NodeKey, size: usize) {
        self.uncommitted.insert(key, size);
        self.uncommitted_bytes += size;
    }

    /// A block is durable, or could not be made so.
    pub(super) fn settle(&mut self, answer: Committed) -> Result<(), FetchError> {
        let size = self.uncommitted.remove(&answer.key).unwrap_or_default();
        self.uncommitted_bytes -= size;
        match answer.result {
            Ok(()) => {
                add(&mut self.durable, answer.size);
                self.report();
                self.exchange.committed(&answer.key.multihash);
                Ok(())
            }
            // The bytes were collected before they were adopted.
            Err(StoreError::Absent) => {
                self.want(answer.key);
                Ok(())
            }
            Err(error) => Err(store_error(error)),
        }
    }

    /// Reserve disk for what is about to be asked for and for what is on its way to the disk.
    pub(super) fn reserve(&mut self) -> Result<(), FetchError> {
        let coming = self.wants.len().saturating_mul(self.average).saturating_add(self.uncommitted_bytes);
        self.reserved.set(u64::try_from(coming).unwrap_or(u64::MAX)).map_err(store_error)
    }

    pub(super) fn report(&self) {
        self.request.progress.send_replace(self.durable);
    }
}

fn add(totals: &mut DagSize, size: u32) {
    totals.blocks += 1;
    totals.bytes += u64::from(size);
}

fn read_links(key: &NodeKey, bytes: &[u8]) -> Result<Vec<NodeKey>, FetchError> {
    let cid = || key.to_string();
    match links(key.codec, bytes) {
        Ok(found) => Ok(found.iter().map(NodeKey::from).collect()),
        Err(LinksError::UnsupportedCodec(codec)) => Err(FetchError::UnsupportedCodec { cid: cid(), codec }),
        Err(LinksError::Malformed(why)) => Err(FetchError::Malformed { cid: cid(), why }),
        Err(LinksError::DigestTooLong(size)) => Err(FetchError::LinkDigestTooLong { cid: cid(), size }),
    }
}
