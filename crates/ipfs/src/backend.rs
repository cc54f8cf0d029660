//! The one trait of all IPFS backends.

use std::path::Path;

use async_trait::async_trait;
use pinrail_domain::DagSize;
use pinrail_spec::{Multiaddr, RootKey};
use tokio::sync::watch;

use crate::IpfsError;

/// One root to pin.
#[derive(Debug)]
pub struct PinJob {
    /// The root.
    pub root: RootKey,
    /// The account that it is pinned for, as a number that means nothing to a backend: accounts take turns.
    pub account: Option<u128>,
    /// Its epoch: a backend refuses an older one than it has seen for this root.
    pub epoch: u64,
    /// Peers known to have it; may grow while the job runs.
    pub origins: watch::Receiver<Vec<Multiaddr>>,
    /// The root that it replaces, whose blocks it may share.
    pub previous: Option<RootKey>,
    /// The most bytes that the DAG may have.
    pub max_bytes: u64,
    /// The most distinct blocks that it may have.
    pub max_blocks: u64,
    /// Where to report what is durably received, as often as it changes.
    pub progress: watch::Sender<DagSize>,
}

/// What a backend holds of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The whole DAG, durably.
    Whole(DagSize),
    /// Not the whole DAG, or nothing.
    Not,
}

/// An IPFS node or cluster that pins. All calls may be repeated; dropping a call's future cancels it, and what was
/// received stays for the next attempt.
#[async_trait]
pub trait IpfsBackend: Send + Sync {
    /// Fetch the whole DAG under `job.root` and keep it durably; returns at once if it is there.
    ///
    /// A backend that finds no source within ten seconds returns [`IpfsError::NotProvided`], at once when all its peers
    /// have said that they lack it, and goes on asking them in the background until [`Self::forget`]: see
    /// [`Self::next_found`].
    async fn pin(&self, job: PinJob) -> Result<DagSize, IpfsError>;

    /// Keep the DAG no longer. Succeeds if it is not held, refuses an older epoch than it has seen.
    async fn unpin(&self, root: &RootKey, epoch: u64) -> Result<(), IpfsError>;

    /// What is held of a root, looked up anew.
    async fn status(&self, root: &RootKey) -> Result<Held, IpfsError>;

    /// Where clients can dial this backend, each ending in `/p2p/<peer id>`, the best first.
    async fn delegates(&self) -> Result<Vec<Multiaddr>, IpfsError>;

    /// Its libp2p peer id.
    async fn peer_id(&self) -> Result<String, IpfsError>;

    /// Store the blocks of a CAR file, each checked against its CID, and return its roots; nothing is pinned by it.
    async fn import(&self, car: &Path) -> Result<Vec<RootKey>, IpfsError>;

    /// Keep the nodes at these addresses connected from now on, in place of those named before, and ask them first: the
    /// nodes of fellow workers, which hold what was pinned through them. A backend that cannot does nothing.
    async fn set_fellows(&self, _fellows: &[Multiaddr]) {}

    /// Go on asking connected peers for these roots in rotation, and every peer that connects.
    async fn look_for(&self, roots: &[RootKey]);

    /// Ask for these roots no longer, and keep nothing that an unfinished fetch of them left behind longer than a day.
    async fn forget(&self, roots: &[RootKey]);

    /// The next root of [`Self::look_for`] that a peer turned out to have. A backend that cannot tell waits for ever.
    async fn next_found(&self) -> RootKey;

    /// One bounded step of giving disk space back; whether there is more to do.
    async fn collect(&self) -> Result<bool, IpfsError>;

    /// Whether it can serve: reads a real block, and fails at the free-space reserve.
    async fn ready(&self) -> Result<(), IpfsError>;
}
