//! The node: a libp2p swarm on a task of its own, and the handle to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::core::multiaddr::Protocol;
use libp2p::identity::Keypair;
use libp2p::swarm::{ConnectionId, DialError, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, memory_connection_limits, ping, swarm};
use pinrail_block_store::{BlockStore, NodeKey, StoreError};
use pinrail_domain::DagSize;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::admission;
use crate::attempts::{Outcome, names_wrong_time};
use crate::bans::Bans;
use crate::bitswap::{self, Exchange, ServeBudget, Shared};
use crate::counters::{Counters, NodeStats};
use crate::dial::{Ask, Asker, Dialer, Dials};
use crate::fellows::Fellows;
use crate::fetch::{self, FetchError, FetchRequest};
use crate::gate::{DialPolicy, OutboundGate};
use crate::known_peers::KnownPeers;
use crate::limits::NodeLimits;
use crate::listen::listen;
use crate::reach::best_first;
use crate::receive::Budget;
use crate::transport;
use crate::trim::keep_places;
use crate::watch::{Sighting, WatchList};

/// What identify calls this kind of node.
const AGENT: &str = concat!("pinrail/", env!("CARGO_PKG_VERSION"));
/// A connection without streams or use is closed after this.
const IDLE_LIMIT: Duration = Duration::from_mins(1);
/// Streams of one connection whose protocol is being settled; further ones wait.
const MAX_NEGOTIATING: usize = 256;
/// How long a node may take to end, and how often that is looked at.
const STOP_LIMIT: Duration = Duration::from_secs(5);
const STOP_TICK: Duration = Duration::from_millis(5);
/// Asks for dials that are taken in at once.
const ASKS_AT_ONCE: usize = 256;
/// How often dials that wait for a bound are looked at.
const DIAL_TICK: Duration = Duration::from_millis(100);

/// How a node is started.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Its key; see [`crate::load_or_create_key`].
    pub keypair: Keypair,
    /// Where it listens, such as `/ip4/0.0.0.0/tcp/4401`.
    pub listen: Vec<Multiaddr>,
    /// Where others can dial it, if that is not where it listens.
    pub announce: Vec<Multiaddr>,
    /// Which addresses it may dial.
    pub dial: DialPolicy,
    /// Its limits.
    pub limits: NodeLimits,
}

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum NodeError {
    /// An address cannot be listened on: in use, not ours, or not TCP.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// The system's own words, the last of what libp2p wraps around them.
        reason: String,
    },
    /// The transport cannot be set up.
    #[error("the network cannot be set up")]
    Transport(#[from] io::Error),
}

/// Bitswap comes last: see [`bitswap::Behaviour`].
#[derive(NetworkBehaviour)]
struct Behaviour {
    admission: admission::Behaviour,
    memory: memory_connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    bitswap: bitswap::Behaviour,
}

/// A running node. It ends when dropped.
pub struct Node {
    peer_id: PeerId,
    announce: Vec<Multiaddr>,
    listening: watch::Receiver<Vec<Multiaddr>>,
    exchange: Arc<Exchange>,
    store: BlockStore,
    dialer: Dialer,
    fellows: Fellows,
    watch_list: Arc<WatchList>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Start a node over `store`; it listens when this returns.
    pub async fn start(options: NodeOptions, store: BlockStore) -> Result<Self, NodeError> {
        let peer_id = options.keypair.public().to_peer_id();
        let (drops, dropped) = mpsc::unbounded_channel();
        let exchange = Exchange::new(store.clone(), shared(&options.limits, drops));
        let behaviour = behaviour(&options, exchange.clone());
        let (dialer, asks) = Dialer::new(OutboundGate::new(options.dial.clone()));
        let budget = exchange.shared.receive_budget.clone();
        let transport = transport::build(&options.keypair, &dialer.gate, budget)?;
        let config = swarm::Config::with_tokio_executor()
            .with_substream_upgrade_protocol_override(libp2p::core::upgrade::Version::V1Lazy)
            .with_max_negotiating_inbound_streams(MAX_NEGOTIATING)
            .with_idle_connection_timeout(IDLE_LIMIT);
        let mut swarm = Swarm::new(transport, behaviour, peer_id, config);
        let addresses = listen(&mut swarm, &options.listen).await?;
        for address in &options.announce {
            swarm.add_external_address(address.clone());
        }
        let (listening, listened) = watch::channel(addresses);
        let (watch_list, watching) = WatchList::start(&exchange);
        let (fellows, keeping) = Fellows::start(&exchange, &dialer);
        let trimming = tokio::spawn(keep_places(exchange.clone(), options.limits.clone()));
        let driving = drive(swarm, exchange.clone(), Dials::new(&dialer), asks, dropped, listening);
        let driving = tokio::spawn(driving);
        Ok(Self {
            peer_id,
            announce: options.announce,
            listening: listened,
            exchange,
            store,
            dialer,
            fellows,
            watch_list,
            tasks: vec![driving, watching, keeping, trimming],
        })
    }

    /// Its peer id.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Where it can be dialled, each ending in `/p2p/<peer id>`, the best first: the announced addresses as they are,
    /// else those it listens on.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        let announced = !self.announce.is_empty();
        let own = if announced { self.announce.clone() } else { best_first(self.listening.borrow().clone()) };
        own.into_iter().filter_map(|address| address.with_p2p(self.peer_id).ok()).collect()
    }

    /// Its block store.
    pub fn store(&self) -> &BlockStore {
        &self.store
    }

    /// How many peers are connected.
    pub fn connected_peers(&self) -> usize {
        self.exchange.peers().len()
    }

    /// Its numbers as they are now.
    pub fn stats(&self) -> NodeStats {
        let Shared { counters, receive_budget, serve_budget, .. } = &self.exchange.shared;
        let (receive_bytes_held, receive_bytes_limit) = receive_budget.usage();
        let (serve_bytes_held, serve_bytes_limit) = serve_budget.usage();
        NodeStats {
            connected_peers: self.connected_peers(),
            bytes_in: counters.bytes_in.get(),
            bytes_out: counters.bytes_out.get(),
            blocks_in: counters.blocks_in.get(),
            blocks_out: counters.blocks_out.get(),
            strikes: counters.strikes.get(),
            bans: counters.bans.get(),
            refused: counters.refused(),
            closed_for_memory: counters.closed_for_memory.get(),
            closed_for_room: counters.closed_for_room.get(),
            receive_bytes_held,
            receive_bytes_limit,
            serve_bytes_held,
            serve_bytes_limit,
            refused_dials: self.dialer.gate.refused(),
            dials: self.dialer.attempts.counts(),
            wants_kept: serve_budget.wants_kept(),
        }
    }

    /// Serve the blocks that came in another way than by a fetch to peers that asked for them before.
    pub fn serve_waiting(&self) -> Result<(), StoreError> {
        self.exchange.serve_waiting()
    }

    /// Dial a peer without asking it for anything; addresses end in `/p2p/<peer id>`.
    pub fn connect(&self, address: Multiaddr) {
        if let Some(Protocol::P2p(peer)) = address.iter().last() {
            self.dialer.dial(Asker::default(), peer, vec![address]);
        }
    }

    /// Keep these nodes connected from now on, in place of those named before, and ask them before anybody else in
    /// every fetch that begins: the nodes of fellow workers, which hold what other accounts have pinned. Addresses end
    /// in `/p2p/<peer id>`; our own are left out, and private ones are dialled only where the options allow it.
    pub fn set_fellows(&self, addresses: Vec<Multiaddr>) {
        self.fellows.set(self.peer_id, addresses);
    }

    /// Fetch a whole DAG. Dropping the future ends the fetch; what was stored stays for the next one.
    pub async fn fetch(&self, mut request: FetchRequest) -> Result<DagSize, FetchError> {
        if self.watch_list.was_sighted(&request.root) {
            // The peer that has it may be a slow one.
            request.answer_timeout = request.answer_timeout.map(|_| request.no_source_timeout);
        }
        let (fellows, new) = (self.fellows.get(), self.watch_list.is_new(&request.root));
        fetch::fetch(self.exchange.clone(), self.store.clone(), self.dialer.clone(), &fellows, new, request).await
    }

    /// Go on asking all peers whether they have this root, in rotation, and each that connects.
    pub fn watch_for(&self, root: NodeKey) {
        self.watch_list.add(root);
    }

    /// Go on asking all peers whether they have `missing`, a block that the DAG of this root lacks.
    pub fn watch_for_block(&self, root: NodeKey, missing: NodeKey) {
        self.watch_list.add_missing(root, missing);
    }

    /// Ask for this root no longer.
    pub fn unwatch(&self, root: &NodeKey) {
        self.watch_list.remove(root);
    }

    /// The next time that a peer says it has one of the roots that are watched for.
    pub async fn next_sighting(&self) -> Sighting {
        self.watch_list.next_sighting().await
    }

    /// End the node and wait until its tasks have let go of the store, five seconds at most.
    pub async fn stop(mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            // Its end by being aborted is what was asked for.
            let _aborted = task.await;
        }
        let exchange = self.exchange.clone();
        drop(self);
        let let_go = async {
            while Arc::strong_count(&exchange) > 1 {
                tokio::time::sleep(STOP_TICK).await;
            }
        };
        if tokio::time::timeout(STOP_LIMIT, let_go).await.is_err() {
            tracing::warn!("the node did not end in time");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn shared(limits: &NodeLimits, drops: mpsc::UnboundedSender<PeerId>) -> Shared {
    let (known, counters) = (Arc::<KnownPeers>::default(), Arc::<Counters>::default());
    let banned_per_block = usize::try_from(limits.banned_per_block).unwrap_or(usize::MAX);
    Shared {
        bans: Arc::new(Bans::new(banned_per_block)),
        receive_budget: Budget::new(limits.receive_bytes, known.clone(), counters.clone(), drops.clone()),
        serve_budget: ServeBudget::new(limits.serve_bytes),
        known,
        counters,
        drops,
    }
}

fn behaviour(options: &NodeOptions, exchange: Arc<Exchange>) -> Behaviour {
    let Shared { known, bans, counters, .. } = &exchange.shared;
    let admission = admission::Behaviour::new(options.limits.clone(), known.clone(), bans.clone(), counters.clone());
    let about =
        identify::Config::new("ipfs/0.1.0".to_owned(), options.keypair.public()).with_agent_version(AGENT.to_owned());
    Behaviour {
        admission,
        memory: memory_connection_limits::Behaviour::with_max_bytes(options.limits.memory),
        identify: identify::Behaviour::new(about),
        ping: ping::Behaviour::default(),
        bitswap: bitswap::Behaviour::new(exchange),
    }
}

/// Run the swarm until the node is dropped.
async fn drive(
    mut swarm: Swarm<Behaviour>,
    exchange: Arc<Exchange>,
    mut dials: Dials,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    mut dropped: mpsc::UnboundedReceiver<PeerId>,
    listening: watch::Sender<Vec<Multiaddr>>,
) {
    let mut asked = Vec::new();
    loop {
        while let Some(options) = dials.next(Instant::now()) {
            let (connection, peer) = (options.connection_id(), options.get_peer_id());
            if let Err(error) = swarm.dial(options) {
                fail(&exchange, &mut dials, connection, peer, &error);
            }
        }
        tokio::select! {
            event = swarm.select_next_some() => note(event, &exchange, &mut dials, &listening),
            _count = asks.recv_many(&mut asked, ASKS_AT_ONCE), if !asks.is_closed() => for ask in asked.drain(..) {
                let peer = ask.peer;
                if !dials.add(ask) {
                    exchange.unreached(peer);
                }
            },
            // Whether it was still connected does not matter.
            Some(peer) = dropped.recv() => drop(swarm.disconnect_peer_id(peer)),
            () = tokio::time::sleep(DIAL_TICK), if dials.is_waiting() => dials.look_again(),
        }
    }
}

/// Take in that a dial failed; those who wait for the peer are told once nothing else is tried.
fn fail(exchange: &Exchange, dials: &mut Dials, connection: ConnectionId, peer: Option<PeerId>, error: &DialError) {
    tracing::debug!(%error, "a peer was not reached");
    let tried = dials.ended(connection);
    dials.attempts.note_failure(&tried, error);
    // A peer that is connected is told of by its connection.
    let is_connected = matches!(error, DialError::DialPeerConditionFalse(_));
    if let Some(peer) = peer.filter(|peer| !is_connected && !dials.has(peer)) {
        exchange.unreached(peer);
    }
}

fn note(
    event: SwarmEvent<BehaviourEvent>,
    exchange: &Exchange,
    dials: &mut Dials,
    listening: &watch::Sender<Vec<Multiaddr>>,
) {
    match event {
        SwarmEvent::ConnectionEstablished { connection_id, peer_id, endpoint, concurrent_dial_errors, .. } => {
            dials.ended(connection_id);
            dials.forget(&peer_id);
            if let ConnectedPoint::Dialer { address, .. } = endpoint {
                dials.attempts.note(&address, Outcome::Connected);
                dials.attempts.note_errors(&concurrent_dial_errors.unwrap_or_default());
            }
        }
        SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
            fail(exchange, dials, connection_id, peer_id, &error);
        }
        SwarmEvent::IncomingConnectionError { error, .. } if names_wrong_time(&error) => {
            tracing::warn!(
                "a peer's certificate is not valid at the time of this machine's clock: is the clock right?"
            );
        }
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
            if let Some(peer) = exchange.find(&peer_id) {
                peer.note_bitswap(bitswap::speaks_bitswap(&info.protocols));
            }
        }
        SwarmEvent::NewListenAddr { address, .. } => {
            listening.send_if_modified(|known| {
                let new = !known.contains(&address);
                if new {
                    known.push(address);
                }
                new
            });
        }
        SwarmEvent::ExpiredListenAddr { address, .. } => {
            listening.send_modify(|known| known.retain(|listened| *listened != address));
        }
        _ => {}
    }
}
