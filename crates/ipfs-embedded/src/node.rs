//! The node: a libp2p swarm on a task of its own, and the handle to it.

use std::sync::Arc;
use std::time::Duration;

use libp2p::core::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use pinrail_block_store::{BlockStore, NodeKey, StoreError};
use pinrail_domain::DagSize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::announce::{Announcer, Own};
use crate::bans::Bans;
use crate::bitswap::{Exchange, ServeBudget, Shared};
use crate::counters::{Counters, NodeStats};
use crate::dht;
use crate::dial::{Asker, DialRequest, Dialer};
use crate::fellows::Fellows;
use crate::fetch::{self, FetchError, FetchRequest};
use crate::gate::OutboundGate;
use crate::known_peers::KnownPeers;
use crate::limits::NodeLimits;
use crate::network::{self, Commands, Network, NotReached};
use crate::options::{NodeError, NodeOptions};
use crate::peer_routing::PeerRouting;
use crate::reach::best_first;
use crate::receive::Budget;
use crate::routing::{self, Finder};
use crate::watch::{Sighting, WatchList};

/// How long a node may take to end, and how often that is looked at.
const STOP_LIMIT: Duration = Duration::from_secs(5);
const STOP_TICK: Duration = Duration::from_millis(5);

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
    pub(crate) finder: Finder,
    /// Announces what is pinned, if the node takes part in the DHT.
    announcer: Option<Announcer>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Start a node over `store`; it listens when this returns.
    pub async fn start(options: NodeOptions, store: BlockStore) -> Result<Self, NodeError> {
        let peer_id = options.keypair.public().to_peer_id();
        let (commands, commanded) = network::commands();
        let exchange = Exchange::new(store.clone(), shared(&options.limits, commands.clone()));
        let dialer = Dialer::new(OutboundGate::new(options.dial.clone()), commands);
        let (protocols, dht) = dht::start(&options, &dialer).unzip();
        let mut network = Network::new(&options, exchange.clone(), &dialer, commanded, protocols)?;
        network.listen(&options.listen).await?;
        let listening = network.listening();
        let (watch_list, watching) = WatchList::start(&exchange);
        let (dht, keeping_table) = dht.unzip();
        let own = Own {
            id: peer_id,
            announce: options.announce.clone(),
            listening: listening.clone(),
            is_public: !options.dial.allow_private,
        };
        let (announcer, announcing) = dht.clone().map(|dht| Announcer::start(dht, own, store.clone())).unzip();
        let routers = routing::routers(&options.routing, &dialer.gate)?;
        let (finder, looking_up) = Finder::start(dht, routers, watch_list.clone());
        if finder.is_on() {
            dialer.lookups.set_routing(finder.peer_routing());
        }
        let (fellows, keeping) = Fellows::start(&exchange, &dialer);
        let running = tokio::spawn(network.run());
        let tasks = [running, watching, looking_up, keeping].into_iter();
        let tasks = tasks.chain(keeping_table).chain(announcing).collect();
        Ok(Self {
            peer_id,
            announce: options.announce,
            listening,
            exchange,
            store,
            dialer,
            fellows,
            watch_list,
            finder,
            announcer,
            tasks,
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
            finder: self.finder.stats(),
            announce: self.announcer.as_ref().map(Announcer::stats).unwrap_or_default(),
        }
    }

    /// Serve the blocks that came in another way than by a fetch to peers that asked for them before.
    pub fn serve_waiting(&self) -> Result<(), StoreError> {
        self.exchange.serve_waiting()
    }

    /// Dial a peer at an address that ends in `/p2p/<peer id>`, and wait until it is connected. It is asked for nothing.
    pub async fn connect(&self, address: Multiaddr) -> Result<(), NotReached> {
        let Some(Protocol::P2p(peer)) = address.iter().last() else { return Err(NotReached) };
        let request = DialRequest { asker: Asker::default(), peer, addresses: vec![address] };
        self.dialer.commands.connect(request).await
    }

    /// Look up by this where peers are that an origin names by `/p2p/<peer id>` alone; only the first one counts.
    pub fn set_peer_routing(&self, routing: Arc<dyn PeerRouting>) {
        if !self.dialer.lookups.set_routing(routing) {
            tracing::warn!("peers are looked up in another way already");
        }
    }

    /// Keep these nodes connected from now on, in place of those named before, and ask them before anybody else in
    /// every fetch that begins: the nodes of fellow workers, which hold what other accounts have pinned. Addresses end
    /// in `/p2p/<peer id>`; our own are left out, and private ones are dialled only where the options allow it.
    pub fn set_fellows(&self, addresses: Vec<Multiaddr>) {
        self.fellows.set(self.peer_id, addresses);
    }

    /// Fetch a whole DAG, and announce its root. Dropping the future ends the fetch; what was stored stays for the next one.
    pub async fn fetch(&self, mut request: FetchRequest) -> Result<DagSize, FetchError> {
        if self.watch_list.was_sighted(&request.root) {
            // The peer that has it may be a slow one.
            request.answer_timeout = request.answer_timeout.map(|_| request.no_source_timeout);
        }
        let (fellows, new) = (self.fellows.get(), self.watch_list.is_new(&request.root));
        let (exchange, store, dialer) = (self.exchange.clone(), self.store.clone(), self.dialer.clone());
        let root = request.root;
        let size = fetch::fetch(exchange, store, dialer, self.finder.clone(), &fellows, new, request).await?;
        if let Some(announcer) = &self.announcer {
            announcer.pinned(&root);
        }
        Ok(size)
    }

    /// Go on asking all peers whether they have this root, in rotation, and each that connects.
    pub fn watch_for(&self, root: NodeKey) {
        self.watch_list.add(root);
        self.finder.watch(root, root);
    }

    /// Go on asking all peers whether they have `missing`, a block that the DAG of this root lacks.
    pub fn watch_for_block(&self, root: NodeKey, missing: NodeKey) {
        self.watch_list.add_missing(root, missing);
        self.finder.watch(root, missing);
    }

    /// Ask for this root no longer.
    pub fn unwatch(&self, root: &NodeKey) {
        self.watch_list.remove(root);
        self.finder.unwatch(root);
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

fn shared(limits: &NodeLimits, commands: Commands) -> Shared {
    let (known, counters) = (Arc::<KnownPeers>::default(), Arc::<Counters>::default());
    let banned_per_block = usize::try_from(limits.banned_per_block).unwrap_or(usize::MAX);
    Shared {
        bans: Arc::new(Bans::new(banned_per_block)),
        receive_budget: Budget::new(limits.receive_bytes, known.clone(), counters.clone(), commands.clone()),
        serve_budget: ServeBudget::new(limits.serve_bytes),
        serve_streams: usize::try_from(limits.serve_streams).unwrap_or(usize::MAX),
        known,
        counters,
        commands,
    }
}
