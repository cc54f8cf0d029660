//! The embedded node as an IPFS backend.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use libp2p::Multiaddr;
use pinrail_ipfs::{Held, IpfsBackend, IpfsError, Missing, PinJob, Pinned, Stage};
use pinrail_spec::RootKey;
use pinrail_unixfs::UnixFsError;
use tokio::sync::watch;

use crate::fetch::{self, FetchError, FetchRequest, Phase};
use crate::node::Node;
use pinrail_block_store::{BlockStore, NodeKey, StoreError, Totals};

/// How long a fetch waits for a source before it gives up its place.
const NO_SOURCE: Duration = Duration::from_secs(10);
/// How long it waits for the answer of a peer that is not known to have anything.
const ANSWER: Duration = Duration::from_secs(1);

/// Milliseconds since 1970, given by whoever composes the worker.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// An embedded node that pins.
pub struct EmbeddedBackend {
    node: Arc<Node>,
    stall_timeout: Duration,
    clock: Clock,
}

impl EmbeddedBackend {
    /// A backend over a running node. A fetch that gets no block for `stall_timeout` is broken off.
    pub fn new(node: Arc<Node>, stall_timeout: Duration, clock: Clock) -> Self {
        Self { node, stall_timeout, clock }
    }

    /// Its node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    async fn with_store<T: Send + 'static>(
        &self,
        call: impl FnOnce(&BlockStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, IpfsError> {
        let store = self.node.store().clone();
        let answer = tokio::task::spawn_blocking(move || call(&store)).await;
        answer.map_err(|error| broken_store(&error))?.map_err(store_error)
    }
}

#[async_trait]
impl IpfsBackend for EmbeddedBackend {
    async fn pin(&self, job: PinJob) -> Result<Pinned, IpfsError> {
        let root = node_key(&job.root)?;
        let mut origins = job.origins;
        let (addresses, origins_read) = watch::channel(read_addresses(&origins.borrow_and_update()));
        let (progress, mut received) = watch::channel(Totals::default());
        let request = FetchRequest {
            root,
            account: job.account,
            epoch: job.epoch,
            origins: origins_read,
            max_bytes: job.max_bytes,
            max_blocks: job.max_blocks,
            progress,
            stall_timeout: self.stall_timeout,
            no_source_timeout: NO_SOURCE,
            answer_timeout: Some(ANSWER),
        };
        let fetch = self.node.fetch(request);
        tokio::pin!(fetch);
        let fetched = loop {
            tokio::select! {
                fetched = &mut fetch => break fetched,
                Ok(()) = origins.changed() => drop(addresses.send(read_addresses(&origins.borrow_and_update()))),
                Ok(()) = received.changed() => drop(job.progress.send_replace(pinned(*received.borrow_and_update()))),
            }
        };
        match fetched {
            Ok(totals) => {
                self.node.unwatch(&root);
                let whole = with_root(&root, totals);
                job.progress.send_replace(whole);
                Ok(whole)
            }
            Err(error) => {
                if let FetchError::NotProvided { missing, .. } = &error {
                    self.node.watch_for_block(root, missing.block);
                }
                Err(fetch_error(&root, error))
            }
        }
    }

    async fn unpin(&self, root: &RootKey, epoch: u64) -> Result<(), IpfsError> {
        let root = node_key(root)?;
        self.node.unwatch(&root);
        self.with_store(move |store| store.release(root, epoch)).await
    }

    async fn status(&self, root: &RootKey) -> Result<Held, IpfsError> {
        let root = node_key(root)?;
        let walk = self
            .with_store(move |store| {
                let pinned = store.root_state(&root)?.is_some_and(|state| state.pinned);
                if pinned { store.walk(&root, 1).map(Some) } else { Ok(None) }
            })
            .await?;
        Ok(match walk {
            Some(walk) if walk.holes.is_empty() => Held::Whole(with_root(&root, walk.totals)),
            _ => Held::Not,
        })
    }

    async fn delegates(&self) -> Result<Vec<pinrail_spec::Multiaddr>, IpfsError> {
        let own = self.node.addresses();
        Ok(own.iter().filter_map(|address| pinrail_spec::Multiaddr::parse(&address.to_string()).ok()).collect())
    }

    async fn peer_id(&self) -> Result<String, IpfsError> {
        Ok(self.node.peer_id().to_string())
    }

    async fn import(&self, car: &Path) -> Result<Vec<RootKey>, IpfsError> {
        let (store, car, now) = (self.node.store().clone(), car.to_owned(), (self.clock)());
        let imported = tokio::task::spawn_blocking(move || pinrail_unixfs::import_car(&store, &car, now)).await;
        let roots = imported.map_err(|error| broken_store(&error))?.map_err(import_error)?;
        let node = self.node.clone();
        let served = tokio::task::spawn_blocking(move || node.serve_waiting()).await;
        served.map_err(|error| broken_store(&error))?.map_err(store_error)?;
        Ok(roots.iter().map(RootKey::from).collect())
    }

    async fn set_fellows(&self, fellows: &[pinrail_spec::Multiaddr]) {
        self.node.set_fellows(read_addresses(fellows));
    }

    async fn look_for(&self, roots: &[RootKey]) {
        for root in roots.iter().filter_map(|root| node_key(root).ok()) {
            self.node.watch_for(root);
        }
    }

    async fn forget(&self, roots: &[RootKey]) {
        let roots = roots.iter().filter_map(|root| node_key(root).ok()).collect::<Vec<_>>();
        for root in &roots {
            self.node.unwatch(root);
        }
        let now = (self.clock)();
        let failed = self.with_store(move |store| {
            for root in roots {
                let unfinished = store.root_state(&root)?.filter(|state| !state.pinned);
                match unfinished.map(|state| store.fail(root, state.epoch, now)) {
                    // It was never begun, was released, or a newer lease has it: nothing of ours is left behind.
                    None | Some(Ok(()) | Err(StoreError::NotBegun | StoreError::StaleEpoch { .. })) => {}
                    Some(Err(error)) => return Err(error),
                }
            }
            Ok(())
        });
        if let Err(error) = failed.await {
            tracing::warn!(%error, "what unfinished fetches left behind stays for now");
        }
    }

    async fn next_found(&self) -> RootKey {
        RootKey::from(&self.node.next_sighting().await.root.to_cid())
    }

    async fn collect(&self) -> Result<bool, IpfsError> {
        let now = (self.clock)();
        self.with_store(move |store| store.collect(now)).await.map(|collected| collected.more)
    }

    async fn ready(&self) -> Result<(), IpfsError> {
        self.with_store(|store| {
            store.check_block()?;
            if store.space()?.full { Err(StoreError::StorageFull) } else { Ok(()) }
        })
        .await
    }
}

fn pinned(totals: Totals) -> Pinned {
    Pinned { blocks: totals.blocks, bytes: totals.bytes }
}

/// What a whole DAG is, its root included: the store does not count identity blocks, which it need not keep, but one
/// that is the root is what was asked for, and a DAG of no blocks would be no DAG.
fn with_root(root: &NodeKey, totals: Totals) -> Pinned {
    let inline = root.identity_bytes();
    let bytes = inline.map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    Pinned { blocks: totals.blocks + u64::from(inline.is_some()), bytes: totals.bytes.saturating_add(bytes) }
}

fn node_key(root: &RootKey) -> Result<NodeKey, IpfsError> {
    let details = |error: &dyn std::fmt::Display| error.to_string();
    match root.to_cid() {
        Ok(cid) => Ok(NodeKey::from(&cid)),
        Err(error) => Err(IpfsError::Unpinnable { reason: "MALFORMED_CID", details: details(&error) }),
    }
}

/// Those of the addresses that libp2p can read; an unknown transport is never an error.
fn read_addresses(addresses: &[pinrail_spec::Multiaddr]) -> Vec<Multiaddr> {
    addresses.iter().filter_map(|address| address.as_str().parse().ok()).collect()
}

fn store_error(error: StoreError) -> IpfsError {
    match error {
        StoreError::StorageFull => IpfsError::StorageFull,
        StoreError::StaleEpoch { .. } => IpfsError::StaleEpoch,
        other => broken_store(&other),
    }
}

fn broken_store(error: &dyn std::error::Error) -> IpfsError {
    IpfsError::Unavailable { stage: Stage::Storing, details: error.to_string() }
}

fn import_error(error: UnixFsError) -> IpfsError {
    match error {
        UnixFsError::Store(error) => store_error(error),
        other => IpfsError::Unpinnable { reason: "BAD_CAR", details: other.to_string() },
    }
}

fn fetch_error(root: &NodeKey, error: FetchError) -> IpfsError {
    let (stage, details) = (stage(error.phase()), error.to_string());
    let unpinnable = |reason| IpfsError::Unpinnable { reason, details: details.clone() };
    match error {
        FetchError::NotProvided { tried, missing, .. } => {
            IpfsError::NotProvided { stage, tried, missing: below(root, &missing) }
        }
        FetchError::Stalled { missing, .. } => {
            IpfsError::Interrupted { stage, reason: "STALLED", details, missing: below(root, &missing) }
        }
        FetchError::UnsupportedHash { .. } => unpinnable("UNSUPPORTED_HASH"),
        FetchError::UnsupportedCodec { .. } => unpinnable("UNSUPPORTED_CODEC"),
        FetchError::Malformed { .. } => unpinnable("MALFORMED_BLOCK"),
        FetchError::LinkDigestTooLong { .. } => unpinnable("DIGEST_TOO_LONG"),
        FetchError::BlockTooLarge { .. } => unpinnable("BLOCK_TOO_LARGE"),
        FetchError::TooLarge { .. } => unpinnable("TOO_LARGE"),
        FetchError::TooManyBlocks { .. } => unpinnable("TOO_MANY_BLOCKS"),
        FetchError::StorageFull => IpfsError::StorageFull,
        FetchError::StaleEpoch => IpfsError::StaleEpoch,
        FetchError::Unavailable(details) => IpfsError::Unavailable { stage, details },
    }
}

/// What is missing, unless that is the root itself.
fn below(root: &NodeKey, missing: &fetch::Missing) -> Option<Box<Missing>> {
    let fetch::Missing { block, more, peers } = *missing;
    (block != *root).then(|| Box::new(Missing { block: block.to_cid(), more, peers }))
}

fn stage(phase: Phase) -> Stage {
    match phase {
        Phase::Finding => Stage::Finding,
        Phase::Connecting => Stage::Connecting,
        Phase::Transferring => Stage::Transferring,
        Phase::Checking => Stage::Checking,
        Phase::Storing => Stage::Storing,
    }
}
