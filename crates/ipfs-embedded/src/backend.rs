//! The embedded node as an IPFS backend.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use libp2p::Multiaddr;
use pinrail_block_store::{BlockStore, NodeKey, StoreError};
use pinrail_domain::{DagSize, FailureReason, Missing, Phase, RootFailure, chain};
use pinrail_ipfs::{Held, IpfsBackend, IpfsError, PinJob};
use pinrail_spec::{CidError, RootKey};
use pinrail_unixfs::UnixFsError;
use tokio::sync::watch;

use crate::fetch::{self, FetchError, FetchRequest};
use crate::node::Node;

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
        answer.map_err(broken_store)?.map_err(store_error)
    }
}

#[async_trait]
impl IpfsBackend for EmbeddedBackend {
    async fn pin(&self, job: PinJob) -> Result<DagSize, IpfsError> {
        let root = node_key(&job.root)?;
        let mut origins = job.origins;
        let (addresses, origins_read) = watch::channel(read_addresses(&origins.borrow_and_update()));
        let (progress, mut received) = watch::channel(DagSize::default());
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
                Ok(()) = received.changed() => drop(job.progress.send_replace(*received.borrow_and_update())),
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
        let roots = imported.map_err(broken_store)?.map_err(import_error)?;
        let node = self.node.clone();
        let served = tokio::task::spawn_blocking(move || node.serve_waiting()).await;
        served.map_err(broken_store)?.map_err(store_error)?;
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
            tracing::warn!(error = chain(&error), "what unfinished fetches left behind stays for now");
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

/// What a whole DAG is, its root included: the store does not count identity blocks, which it need not keep, but one
/// that is the root is what was asked for, and a DAG of no blocks would be no DAG.
fn with_root(root: &NodeKey, totals: DagSize) -> DagSize {
    let inline = root.identity_bytes();
    let bytes = inline.map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    DagSize { blocks: totals.blocks + u64::from(inline.is_some()), bytes: totals.bytes.saturating_add(bytes) }
}

fn node_key(root: &RootKey) -> Result<NodeKey, IpfsError> {
    let unreadable = |error: CidError| unpinnable(FailureReason::MalformedCid, &error);
    root.to_cid().map(|cid| NodeKey::from(&cid)).map_err(unreadable)
}

/// Those of the addresses that libp2p can read; an unknown transport is never an error.
fn read_addresses(addresses: &[pinrail_spec::Multiaddr]) -> Vec<Multiaddr> {
    addresses.iter().filter_map(|address| address.as_str().parse().ok()).collect()
}

fn store_error(error: StoreError) -> IpfsError {
    match error {
        StoreError::StorageFull => IpfsError::StorageFull,
        StoreError::StaleEpoch { .. } => IpfsError::StaleEpoch,
        other => broken_store(other),
    }
}

fn broken_store(error: impl Error + Send + Sync + 'static) -> IpfsError {
    IpfsError::unavailable(Phase::Storing, error)
}

fn import_error(error: UnixFsError) -> IpfsError {
    match error {
        UnixFsError::Store(error) => store_error(error),
        other => unpinnable(FailureReason::MalformedBlock, &other),
    }
}

fn fetch_error(root: &NodeKey, error: FetchError) -> IpfsError {
    let reason = match error {
        FetchError::NotProvided { phase, tried, missing } => {
            return IpfsError::NotProvided { phase, tried, missing: below(root, &missing) };
        }
        FetchError::Stalled { missing, .. } => {
            let (reason, details) = (FailureReason::Stalled, error.to_string());
            let missing = below(root, &missing);
            return IpfsError::Broken(RootFailure { phase: Phase::Transferring, reason, details, missing });
        }
        FetchError::StorageFull => return IpfsError::StorageFull,
        FetchError::StaleEpoch => return IpfsError::StaleEpoch,
        FetchError::Unavailable(source) => return IpfsError::Unavailable { phase: Phase::Storing, source },
        FetchError::UnsupportedHash { .. } => FailureReason::UnsupportedHash,
        FetchError::UnsupportedCodec { .. } => FailureReason::UnsupportedCodec,
        FetchError::Malformed { .. } => FailureReason::MalformedBlock,
        FetchError::LinkDigestTooLong { .. } => FailureReason::DigestTooLong,
        FetchError::BlockTooLarge { .. } => FailureReason::BlockTooLarge,
        FetchError::TooLarge { .. } => FailureReason::TooLarge,
        FetchError::TooManyBlocks { .. } => FailureReason::TooManyBlocks,
    };
    unpinnable(reason, &error)
}

fn unpinnable(reason: FailureReason, error: &dyn Error) -> IpfsError {
    IpfsError::Unpinnable { reason, details: chain(error) }
}

/// The missing blocks, unless the root itself is one of them.
fn below(root: &NodeKey, missing: &fetch::Missing) -> Option<Missing> {
    let fetch::Missing { block, more, peers } = *missing;
    (block != *root).then(|| Missing { block: block.to_string(), more, peers })
}
