//! One fetch: walks the DAG from its root, asks for what is not at hand, stores what comes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use libp2p::PeerId;
use libp2p::multihash::Multihash;
use pinrail_ipfs::{LinksError, links};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::sources::{Source, Sources};
use super::walk::{Next, Walk};
use super::{FetchError, FetchRequest, Phase};
use crate::bitswap::{Event, Exchange, Peer, Subscription};
use crate::dial::Dialer;
use crate::hash;
use crate::store::{Adopt, BlockStore, Committed, NodeKey, Put, StoreError, Totals};

/// raw, dag-pb, dag-cbor and dag-json: a block of another codec is not asked for, its links could not be read.
const CODECS: [u64; 4] = [0x55, 0x70, 0x71, 0x0129];
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
const TICK: Duration = Duration::from_millis(500);
/// The wait when all peers have as many wants as they keep.
const BUSY_TICK: Duration = Duration::from_millis(50);
/// Nodes at hand that are visited before events are looked at again.
const VISITS: usize = 256;
/// How often a DAG is walked when it still has holes after a whole walk.
const MAX_WALKS: usize = 4;

/// Fetch the whole DAG. Dropping the future ends it; what was stored stays for the next attempt.
pub async fn fetch(
    exchange: Arc<Exchange>,
    store: BlockStore,
    dialer: Dialer,
    request: FetchRequest,
) -> Result<Totals, FetchError> {
    let (root, epoch) = (request.root, request.epoch);
    if let Some(totals) = begin(&store, root, epoch).await? {
        return Ok(totals);
    }
    let (subscription, events) = exchange.subscribe();
    let (done, committed) = mpsc::unbounded_channel();
    let now = Instant::now();
    let mut session = Session {
        _counted: exchange.count_fetch(),
        exchange,
        store: store.clone(),
        dialer,
        subscription,
        done,
        walk: Walk::new(root),
        wants: HashMap::new(),
        unasked: VecDeque::new(),
        sources: Sources::default(),
        probed: HashMap::new(),
        uncommitted: HashMap::new(),
        uncommitted_bytes: 0,
        seen: Totals::default(),
        durable: Totals::default(),
        average: EXPECTED_BLOCK_BYTES,
        received: 0,
        last_sourced: now,
        last_block: now,
        last_probe: now,
        busy: false,
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
            Err(error) => return Err(FetchError::Unavailable(error.to_string())),
        }
    }
    Err(FetchError::Unavailable("the DAG has holes after it was walked whole".to_owned()))
}

/// Begin the fetch; the DAG's size if it is whole already.
async fn begin(store: &BlockStore, root: NodeKey, epoch: u64) -> Result<Option<Totals>, FetchError> {
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
    /// It is asked of one peer more, since those asked so far may have nothing.
    doubled: bool,
}

impl Want {
    fn new() -> Self {
        Self { keys: Vec::new(), asked: Vec::new(), refused: HashSet::new(), late: Vec::new(), doubled: false }
    }

    fn is_asked(&self, peer: &PeerId) -> bool {
        self.asked.iter().any(|(asked, _)| asked == peer)
    }
}

struct Session {
    exchange: Arc<Exchange>,
    /// It counts as running while this is held.
    _counted: Arc<()>,
    store: BlockStore,
    dialer: Dialer,
    subscription: Subscription,
    done: mpsc::UnboundedSender<Committed>,
    walk: Walk,
    wants: HashMap<Multihash<64>, Want>,
    /// Wants that no peer is asked for now.
    unasked: VecDeque<Multihash<64>>,
    sources: Sources,
    /// Peers that were asked whether they have something, and what.
    probed: HashMap<PeerId, HashSet<Cid>>,
    uncommitted: HashMap<NodeKey, usize>,
    uncommitted_bytes: usize,
    /// Distinct nodes of this walk that are at hand or received.
    seen: Totals,
    /// Those of them that are durable.
    durable: Totals,
    average: usize,
    received: u64,
    last_sourced: Instant,
    last_block: Instant,
    last_probe: Instant,
    /// Every peer has as many wants as it keeps.
    busy: bool,
    request: FetchRequest,
}

impl Session {
    /// Look at everybody who is connected already.
    fn meet_peers(&mut self) {
        let origins = self.request.origins.borrow_and_update().clone();
        self.sources.set_origins(&origins, Instant::now());
        for peer in self.exchange.peers() {
            if self.sources.is_origin(&peer.id) {
                self.sources.add(&peer, false);
            }
        }
        self.dial();
    }

    fn begin_walk(&mut self) {
        self.walk = Walk::new(self.request.root);
        self.seen = Totals::default();
        self.durable = Totals::default();
    }

    /// Walk until every node is durable.
    async fn run(
        &mut self,
        events: &mut mpsc::UnboundedReceiver<Event>,
        committed: &mut mpsc::UnboundedReceiver<Committed>,
    ) -> Result<(), FetchError> {
        loop {
            let paused = self.walk_ahead().await?;
            self.ask();
            if !paused && self.wants.is_empty() && self.uncommitted.is_empty() {
                return Ok(());
            }
            self.look_at_the_clock()?;
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
                    while let Ok(event) = events.try_recv() {
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
                () = tokio::time::sleep(tick) => {}
            }
        }
    }

    /// Visit nodes while there is room for more wants; true if only the look at events made it stop.
    async fn walk_ahead(&mut self) -> Result<bool, FetchError> {
        for _ in 0..VISITS {
            if self.wants.len() >= self.window() || self.uncommitted_bytes >= SHARED_BYTES / self.exchange.fetches() {
                return Ok(false);
            }
            match self.walk.next() {
                Next::Done => return Ok(false),
                Next::Visit(key) => self.visit(key).await?,
                Next::Reload(parent) => {
                    let known = self.store.links(&parent).map_err(store_error)?;
                    let known = known.ok_or_else(|| FetchError::Unavailable("a block was removed".to_owned()))?;
                    self.walk.push(parent, known.links);
                }
            }
        }
        Ok(true)
    }

    /// How many blocks may be asked for: small ones many, large ones few, and all fetches together not too much.
    fn window(&self) -> usize {
        let fetches = self.exchange.fetches();
        let least = (WINDOW_BLOCKS.start() / fetches).max(2);
        (SHARED_BYTES / fetches / self.average.max(1)).clamp(least, *WINDOW_BLOCKS.end())
    }

    async fn visit(&mut self, key: NodeKey) -> Result<(), FetchError> {
        if key.is_inline_leaf() {
            return Ok(());
        }
        if let Err(name) = hash::check_supported(&key.multihash) {
            return Err(FetchError::UnsupportedHash { cid: key.to_string(), hash: name });
        }
        if !CODECS.contains(&key.codec) {
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

    fn want(&mut self, key: NodeKey) {
        let want = self.wants.entry(key.multihash).or_insert_with(|| {
            self.subscription.wait_for(key.multihash);
            self.unasked.push_back(key.multihash);
            Want::new()
        });
        want.keys.push(key);
    }

    /// Count a distinct node against the limit.
    fn count(&mut self, size: usize) -> Result<(), FetchError> {
        add(&mut self.seen, u32::try_from(size).unwrap_or(u32::MAX));
        if self.seen.bytes > self.request.max_bytes {
            return Err(FetchError::TooLarge { limit: self.request.max_bytes });
        }
        Ok(())
    }

    fn store_block(&mut self, key: NodeKey, bytes: Bytes) -> Result<(), FetchError> {
        self.count(bytes.len())?;
        let links = read_links(&key, &bytes)?;
        self.note_uncommitted(key, bytes.len());
        let (root, epoch, done) = (self.request.root, self.request.epoch, self.done.clone());
        self.store.put(Put { root, epoch, key, bytes, links: links.clone(), done });
        self.walk.push(key, links);
        Ok(())
    }

    fn adopt(&mut self, key: NodeKey, bytes: &[u8]) -> Result<(), FetchError> {
        self.count(bytes.len())?;
        let links = read_links(&key, bytes)?;
        self.note_uncommitted(key, bytes.len());
        let (root, epoch, done) = (self.request.root, self.request.epoch, self.done.clone());
        self.store.adopt(Adopt { root, epoch, key, links: links.clone(), done });
        self.walk.push(key, links);
        Ok(())
    }

    fn note_uncommitted(&mut self, key: NodeKey, size: usize) {
        self.uncommitted.insert(key, size);
        self.uncommitted_bytes += size;
    }

    /// A block is durable, or could not be made so.
    fn settle(&mut self, answer: Committed) -> Result<(), FetchError> {
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

    fn report(&self) {
        self.request.progress.send_replace(self.durable);
    }

    fn handle(&mut self, event: Event) -> Result<(), FetchError> {
        match event {
            Event::Block { from, multihash, bytes } => return self.receive(from, multihash, &bytes),
            Event::Presence { from, multihash, have: true } => self.heard_have(from, &multihash),
            Event::Presence { from, multihash, have: false } => self.heard_dont_have(from, &multihash),
            Event::Connected(peer) => self.meet(&peer),
            Event::Disconnected(peer) => self.lose(&peer),
        }
        Ok(())
    }

    fn receive(&mut self, from: PeerId, multihash: Multihash<64>, bytes: &Bytes) -> Result<(), FetchError> {
        let Some(want) = self.wants.remove(&multihash) else { return Ok(()) };
        self.average = (self.average * 15 + bytes.len()) / 16;
        self.received += 1;
        self.last_block = Instant::now();
        for (peer, _) in &want.asked {
            if let Some(source) = self.sources.get_mut(peer) {
                source.in_flight -= 1;
                source.peer.want_settled();
                if *peer != from {
                    source.peer.cancel(want.keys[0].to_cid());
                }
            }
        }
        if let Some(peer) = self.exchange.find(&from) {
            self.sources.add(&peer, true);
            self.sources.get_mut(&from).expect("it was just added").silent = false;
        }
        for key in want.keys {
            self.store_block(key, bytes.clone())?;
        }
        Ok(())
    }

    fn heard_have(&mut self, from: PeerId, multihash: &Multihash<64>) {
        let Some(peer) = self.exchange.find(&from) else { return };
        self.sources.add(&peer, true);
        if let Some(want) = self.wants.get_mut(multihash) {
            want.refused.remove(&from);
        }
    }

    fn heard_dont_have(&mut self, from: PeerId, multihash: &Multihash<64>) {
        let Some(want) = self.wants.get_mut(multihash) else { return };
        want.refused.insert(from);
        if let Some(index) = want.asked.iter().position(|(peer, _)| *peer == from) {
            want.asked.swap_remove(index);
            if let Some(source) = self.sources.get_mut(&from) {
                source.in_flight -= 1;
                source.silent = false;
                source.peer.want_settled();
            }
            if want.asked.is_empty() {
                self.unasked.push_front(*multihash);
            }
        }
    }

    fn meet(&mut self, peer: &Arc<Peer>) {
        if self.sources.is_origin(&peer.id) {
            self.sources.add(peer, false);
            self.ask_first(peer);
        } else {
            self.probe(peer);
        }
    }

    /// While nobody has proven to have anything, ask the new origin for all that the others were asked for.
    fn ask_first(&mut self, peer: &Arc<Peer>) {
        if self.received > 0 {
            return;
        }
        for want in self.wants.values_mut().filter(|want| want.asked.len() < FIRST_ASKED) {
            let source = self.sources.get_mut(&peer.id).expect("it was just added");
            if !want.asked.is_empty() && peer.want_block(want.keys[0].to_cid()) {
                want.asked.push((peer.id, Instant::now()));
                source.in_flight += 1;
            }
        }
    }

    fn lose(&mut self, peer: &PeerId) {
        self.sources.remove(peer, Instant::now());
        self.probed.remove(peer);
        for (multihash, want) in &mut self.wants {
            let before = want.asked.len();
            want.asked.retain(|(asked, _)| asked != peer);
            if want.asked.is_empty() && before > 0 {
                self.unasked.push_front(*multihash);
            }
        }
        self.dial();
    }

    fn dial(&mut self) {
        for (peer, addresses) in self.sources.due_dials(Instant::now()) {
            self.dialer.dial(peer, addresses);
        }
    }

    /// Ask peers for the wants that nobody is asked for.
    fn ask(&mut self) {
        self.busy = false;
        let mut left = VecDeque::new();
        while let Some(multihash) = self.unasked.pop_front() {
            let Some(want) = self.wants.get_mut(&multihash) else { continue };
            let wanted = if self.received == 0 { FIRST_ASKED } else { 1 + usize::from(want.doubled) };
            let cid = want.keys[0].to_cid();
            let peers = self.sources.best(&want.refused, &want.late);
            for peer in &peers {
                if want.asked.len() < wanted && !want.is_asked(&peer.id) && peer.want_block(cid) {
                    want.asked.push((peer.id, Instant::now()));
                    self.sources.get_mut(&peer.id).expect("it was chosen").in_flight += 1;
                }
            }
            if want.asked.is_empty() {
                left.push_back(multihash);
                self.busy = !peers.is_empty();
                if self.busy {
                    break;
                }
            }
        }
        left.append(&mut self.unasked);
        self.unasked = left;
    }

    fn look_at_the_clock(&mut self) -> Result<(), FetchError> {
        let now = Instant::now();
        self.ask_again(now);
        self.dial();
        if now - self.last_probe > PROBE_INTERVAL || self.probed.is_empty() {
            self.last_probe = now;
            self.probe_all();
        }
        if self.is_sourced(now) {
            self.last_sourced = now;
        }
        if now - self.last_sourced > self.request.no_source_timeout {
            let (unreached, tried) = self.sources.describe(self.probed.len());
            let phase = if unreached && self.probed.is_empty() { Phase::Connecting } else { Phase::Finding };
            return Err(FetchError::NotProvided { phase, tried });
        }
        if now - self.last_block > self.request.stall_timeout && self.uncommitted.is_empty() {
            let seconds = self.request.stall_timeout.as_secs();
            return Err(FetchError::Stalled { seconds, received: self.received });
        }
        Ok(())
    }

    /// Whether somebody who has proven to have blocks is asked or can be asked, or nothing is to be asked for.
    fn is_sourced(&self, now: Instant) -> bool {
        let hears = |peer: &PeerId| {
            self.sources.get(peer).is_some_and(|source| {
                source.proven || now.duration_since(source.peer.heard_at()) < ASK_AGAIN && source.in_flight > 0
            })
        };
        let can_ask =
            |want: &Want| self.sources.iter().any(|source| source.proven && !want.refused.contains(&source.peer.id));
        self.wants.is_empty()
            || !self.uncommitted.is_empty()
            || self.wants.values().any(|want| want.asked.iter().any(|(peer, _)| hears(peer)) || can_ask(want))
    }

    /// Take back wants that were met with silence; the next [`Self::ask`] gives them to somebody.
    fn ask_again(&mut self, now: Instant) {
        for (multihash, want) in &mut self.wants {
            let cid = want.keys[0].to_cid();
            let before = want.asked.len();
            want.asked.retain(|(peer, since)| {
                let Some(source) = self.sources.get_mut(peer) else { return false };
                let age = now - *since;
                let silence = age.min(now.duration_since(source.peer.heard_at()));
                if silence < ASK_AGAIN && age < ASK_AGAIN_ANYWAY {
                    return true;
                }
                source.silent |= silence >= ASK_AGAIN;
                source.in_flight -= 1;
                source.peer.want_settled();
                source.peer.cancel(cid);
                want.late.push(*peer);
                want.doubled = false;
                false
            });
            if want.asked.is_empty() && before > 0 {
                self.unasked.push_back(*multihash);
            }
        }
        self.double_doubtful(now);
    }

    /// Ask somebody who has proven to have blocks for what was only asked of origins that have not.
    fn double_doubtful(&mut self, now: Instant) {
        for (multihash, want) in &mut self.wants {
            let proven = |source: &&Source| source.proven && !want.refused.contains(&source.peer.id);
            let doubtful = |(peer, since): &(PeerId, Instant)| {
                now - *since > DOUBT && !self.sources.get(peer).is_some_and(|source| source.proven)
            };
            let asked_in_doubt = !want.asked.is_empty() && want.asked.iter().all(doubtful);
            if !want.doubled && asked_in_doubt && self.sources.iter().any(|source| proven(&source)) {
                want.doubled = true;
                self.unasked.push_back(*multihash);
            }
        }
    }

    fn probe_all(&mut self) {
        if self.sources.iter().any(|source| source.proven) && self.unasked.is_empty() {
            return;
        }
        for want in self.wants.values_mut() {
            // Who did not have it may have it by now.
            want.refused.clear();
        }
        for peer in self.exchange.peers() {
            if self.sources.get(&peer.id).is_none() {
                self.probe(&peer);
            }
        }
    }

    /// Ask a peer whether it has some of what is missing.
    fn probe(&mut self, peer: &Arc<Peer>) {
        let missing = self.unasked.iter().chain(self.wants.keys()).take(PROBES);
        let cids = missing.filter_map(|multihash| Some(self.wants.get(multihash)?.keys[0].to_cid()));
        let asked = self.probed.entry(peer.id).or_default();
        for cid in cids {
            asked.insert(cid);
            peer.want_have(cid);
        }
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

fn add(totals: &mut Totals, size: u32) {
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

async fn run_blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, FetchError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(answer) => answer.map_err(store_error),
        Err(error) => Err(FetchError::Unavailable(error.to_string())),
    }
}

fn store_error(error: StoreError) -> FetchError {
    match error {
        StoreError::StorageFull => FetchError::StorageFull,
        StoreError::StaleEpoch { .. } | StoreError::NotBegun => FetchError::StaleEpoch,
        other => FetchError::Unavailable(other.to_string()),
    }
}
