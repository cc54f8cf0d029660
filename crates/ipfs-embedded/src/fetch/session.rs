//! One fetch: walks the DAG from its root, asks for what is not at hand, stores what comes.

mod asking;
mod storing;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cid::Cid;
use libp2p::PeerId;
use libp2p::multihash::Multihash;
use pinrail_block_store::{BlockStore, Committed, NodeKey, Reserved, StoreError};
use pinrail_domain::DagSize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::finding::Finding;
use super::sources::Sources;
use super::walk::Walk;
use super::{FetchError, FetchRequest};
use crate::bitswap::{Event, Events, Exchange, Subscription};
use crate::dial::Dialer;
use crate::fellows::Addresses;
use crate::routing::Finder;

/// Bytes that all fetches together may ask for at once, and that may be on their way to the disk.
const SHARED_BYTES: usize = 32 << 20;
/// Blocks that one fetch may ask for at once.
const WINDOW_BLOCKS: std::ops::RangeInclusive<usize> = 16..=512;
/// The size that blocks are taken to have before any came.
const EXPECTED_BLOCK_BYTES: usize = 256 << 10;
/// A want that its peer met with silence for this long is asked again; Helia ignores a repeated want for 5 s.
const ASK_AGAIN: Duration = Duration::from_secs(6);
/// A want that is this old is asked again, also of a peer that sends other blocks.
const ASK_AGAIN_ANYWAY: Duration = Duration::from_secs(30);
/// A want of a peer that has not proven to have blocks is asked of another one too after this.
const DOUBT: Duration = Duration::from_secs(1);
/// How often what is missing is asked of every connected peer again.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How many missing blocks each peer is asked about.
const PROBES: usize = 3;
/// How many peers are asked for the first block.
const FIRST_ASKED: usize = 8;
/// The most peers that one block is asked of at once, also while none of them sends it.
const MOST_ASKED: usize = 64;
const TICK: Duration = Duration::from_millis(500);
/// The wait when all peers have as many wants as they keep.
const BUSY_TICK: Duration = Duration::from_millis(50);
/// Nodes at hand that are visited before events are looked at again.
const VISITS: usize = 256;
/// How often a DAG is walked when it still has holes after a whole walk.
const MAX_WALKS: usize = 4;

/// Fetch the whole DAG; `ask_strangers` says whether any connected peer may be asked. Dropping the future ends it; what
/// was stored stays for the next attempt.
pub async fn fetch(
    exchange: Arc<Exchange>,
    store: BlockStore,
    dialer: Dialer,
    finder: Finder,
    fellows: &Addresses,
    ask_strangers: bool,
    request: FetchRequest,
) -> Result<DagSize, FetchError> {
    let (root, epoch) = (request.root, request.epoch);
    if let Some(totals) = begin(&store, root, epoch).await? {
        return Ok(totals);
    }
    let (subscription, events) = exchange.subscribe();
    let (done, committed) = mpsc::unbounded_channel();
    let now = Instant::now();
    let has_origins = !request.origins.borrow().is_empty();
    let mut session = Session {
        counted: None,
        exchange,
        store: store.clone(),
        dialer,
        subscription,
        done,
        walk: Walk::new(root),
        wants: HashMap::new(),
        unasked: VecDeque::new(),
        sources: Sources::new(fellows, now),
        finding: Finding::new(finder, has_origins, now),
        probed: HashMap::new(),
        unanswered: HashSet::new(),
        unidentified: HashSet::new(),
        uncommitted: HashMap::new(),
        uncommitted_bytes: 0,
        reserved: store.reserve(),
        seen: DagSize::default(),
        durable: DagSize::default(),
        average: EXPECTED_BLOCK_BYTES,
        received: 0,
        last_sourced: now,
        idle_since: now,
        last_probe: now,
        busy: false,
        ask_strangers,
        request,
    };
    let (mut events, mut committed) = (events, committed);
    session.meet_peers();
    for _ in 0..MAX_WALKS {
        session.begin_walk();
        session.run(&mut events, &mut committed).await?;
        let finished = store.clone();
        match tokio::task::spawn_blocking(move || finished.finish(root, epoch)).await {
            Ok(Err(StoreError::Holes(holes))) => {
                tracing::debug!(root = %root.to_cid(), holes = holes.len(), "walking again");
            }
            Ok(Err(error)) => return Err(store_error(error)),
            Ok(Ok(totals)) => return Ok(totals),
            Err(error) => return Err(FetchError::unavailable(error)),
        }
    }
    Err(FetchError::unavailable("the DAG has holes after it was walked whole"))
}

/// Begin the fetch; the DAG's size if it is whole already.
async fn begin(store: &BlockStore, root: NodeKey, epoch: u64) -> Result<Option<DagSize>, FetchError> {
    let store = store.clone();
    run_blocking(move || {
        store.begin(root, epoch)?;
        match store.finish(root, epoch) {
            Ok(totals) => Ok(Some(totals)),
            Err(StoreError::Holes(_)) => Ok(None),
            Err(error) => Err(error),
        }
    })
    .await
}

/// A block that is asked for.
struct Want {
    /// The nodes that it is: the same bytes may be linked to with several codecs.
    keys: Vec<NodeKey>,
    asked: Vec<(PeerId, Instant)>,
    /// Peers that said they do not have it.
    refused: HashSet<PeerId>,
    /// Peers that were asked and let it run out.
    late: Vec<PeerId>,
    /// It is asked of so many peers more, since those asked so far may have nothing.
    extra: usize,
}

impl Want {
    fn new() -> Self {
        Self { keys: Vec::new(), asked: Vec::new(), refused: HashSet::new(), late: Vec::new(), extra: 0 }
    }

    fn is_asked(&self, peer: &PeerId) -> bool {
        self.asked.iter().any(|(asked, _)| asked == peer)
    }
}

struct Session {
    exchange: Arc<Exchange>,
    /// It has a share of the window while this is held, which is while blocks come.
    counted: Option<Arc<()>>,
    store: BlockStore,
    dialer: Dialer,
    subscription: Subscription,
    done: mpsc::UnboundedSender<Committed>,
    walk: Walk,
    wants: HashMap<Multihash<64>, Want>,
    /// Wants that no peer is asked for now.
    unasked: VecDeque<Multihash<64>>,
    sources: Sources,
    finding: Finding,
    /// Peers that were asked whether they have something, and what.
    probed: HashMap<PeerId, HashSet<Cid>>,
    /// Those of these questions that no answer came to.
    unanswered: HashSet<(PeerId, Multihash<64>)>,
    /// Peers that may be asked once they have said what they speak.
    unidentified: HashSet<PeerId>,
    uncommitted: HashMap<NodeKey, usize>,
    uncommitted_bytes: usize,
    /// Disk for what is asked for and not durable yet.
    reserved: Reserved,
    /// Distinct nodes of this walk that are at hand or received.
    seen: DagSize,
    /// Those of them that are durable.
    durable: DagSize,
    average: usize,
    received: u64,
    last_sourced: Instant,
    /// When a block last came, or was wanted after nothing was.
    idle_since: Instant,
    last_probe: Instant,
    /// Every peer has as many wants as it keeps.
    busy: bool,
    /// Connected peers that have no reason to be here may learn what is wanted.
    ask_strangers: bool,
    request: FetchRequest,
}

impl Session {
    fn begin_walk(&mut self) {
        self.walk = Walk::new(self.request.root);
        self.seen = DagSize::default();
        self.durable = DagSize::default();
    }

    /// Walk until every node is durable.
    async fn run(
        &mut self,
        events: &mut Events,
        committed: &mut mpsc::UnboundedReceiver<Committed>,
    ) -> Result<(), FetchError> {
        loop {
            let paused = self.walk_ahead().await?;
            self.reserve()?;
            self.ask();
            if !paused && self.wants.is_empty() && self.uncommitted.is_empty() {
                return Ok(());
            }
            self.look_at_the_clock()?;
            if !paused && self.is_refused_by_all() {
                return Err(self.not_provided());
            }
            let tick = if paused {
                Duration::ZERO
            } else if self.busy {
                BUSY_TICK
            } else {
                TICK
            };
            tokio::select! {
                biased;
                Some(event) = events.recv() => {
                    self.handle(event)?;
                    while let Some(event) = events.try_recv() {
                        self.handle(event)?;
                    }
                }
                Some(answer) = committed.recv() => {
                    self.settle(answer)?;
                    while let Ok(answer) = committed.try_recv() {
                        self.settle(answer)?;
                    }
                }
                changed = self.request.origins.changed(), if self.request.origins.has_changed().is_ok() => {
                    if changed.is_ok() {
                        self.meet_peers();
                    }
                }
                provider = self.finding.next_provider() => {
                    if let Some(provider) = provider {
                        self.meet_provider(&provider);
                    }
                }
                () = tokio::time::sleep(tick) => {}
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), FetchError> {
        match event {
            Event::Block { from, multihash, bytes } => return self.receive(from, multihash, &bytes),
            Event::Presence { from, multihash, have: true } => self.heard_have(from, &multihash),
            Event::Presence { from, multihash, have: false } => self.heard_dont_have(from, &multihash),
            Event::Connected(peer) => self.meet(&peer),
            Event::Identified(peer) => self.identified(&peer),
            Event::Disconnected(peer) => self.lose(&peer),
            Event::Unreached(peer) => self.sources.note_unreached(&peer),
        }
        Ok(())
    }
}

impl Drop for Session {
    /// Nobody waits for what is still asked for.
    fn drop(&mut self) {
        for (multihash, want) in &self.wants {
            let last = self.subscription.stop_waiting(multihash);
            for source in want.asked.iter().filter_map(|(peer, _)| self.sources.get(peer)) {
                source.peer.want_settled();
                if last {
                    source.peer.cancel(want.keys[0].to_cid());
                }
            }
        }
        for (peer, cids) in &self.probed {
            let Some(peer) = self.exchange.find(peer) else { continue };
            for cid in cids {
                peer.cancel(*cid);
            }
        }
    }
}

async fn run_blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, FetchError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(answer) => answer.map_err(store_error),
        Err(error) => Err(FetchError::unavailable(error)),
    }
}

fn store_error(error: StoreError) -> FetchError {
    match error {
        StoreError::StorageFull => FetchError::StorageFull,
        StoreError::StaleEpoch { .. } | StoreError::NotBegun => FetchError::StaleEpoch,
        other => FetchError::unavailable(other),
    }
}
