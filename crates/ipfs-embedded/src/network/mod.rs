//! The network of a node: a task that owns the swarm, obeys commands and handles every event.
//!
//! A protocol that is added is a field of [`behaviour::Behaviour`], an arm for its events in [`event`] and a module of
//! its own. What other parts of the node ask for is a [`Command`].

mod behaviour;
mod command;
mod event;
mod listen;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::swarm::{self, DialError};
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use self::behaviour::Behaviour;
pub use self::command::{Command, Commands, NotReached, commands};
use crate::bitswap::Exchange;
use crate::dht::{self, Table};
use crate::dial::{DialRequest, Dialer, Dials};
use crate::options::NodeOptions;
use crate::transport;

/// A connection without streams that no protocol wants to keep is closed after this.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Streams of one connection whose protocol is being settled; further ones wait.
const MAX_NEGOTIATING: usize = 256;
/// Commands that are taken at once.
const COMMANDS_AT_ONCE: usize = 256;
/// How often dials that wait for a bound are looked at.
const DIAL_TICK: Duration = Duration::from_millis(100);

/// The swarm and all that is decided at its events.
pub struct Network {
    swarm: Swarm<Behaviour>,
    exchange: Arc<Exchange>,
    dials: Dials,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Those who wait for a peer to be connected.
    connecting: HashMap<PeerId, Vec<oneshot::Sender<Result<(), NotReached>>>>,
    listening: watch::Sender<Vec<Multiaddr>>,
    announce: Vec<Multiaddr>,
    /// It dials public addresses only, and tells no others of itself.
    is_public: bool,
    /// Who gets into the routing table of the DHT, unless that is off.
    table: Option<Table>,
}

impl Network {
    /// A network that listens nowhere yet.
    pub fn new(
        options: &NodeOptions,
        exchange: Arc<Exchange>,
        dialer: &Dialer,
        commands: mpsc::UnboundedReceiver<Command>,
        dht: Option<dht::Protocols>,
    ) -> io::Result<Self> {
        let transport = transport::build(&options.keypair, &dialer.gate, &exchange.shared.receive_budget)?;
        let config = swarm::Config::with_tokio_executor()
            .with_substream_upgrade_protocol_override(libp2p::core::upgrade::Version::V1Lazy)
            .with_max_negotiating_inbound_streams(MAX_NEGOTIATING)
            .with_idle_connection_timeout(IDLE_LIMIT);
        let (behaviour, table) = match dht {
            Some(dht::Protocols { kad, streams, table }) => {
                (Behaviour::new(options, exchange.clone(), Some(kad), Some(streams)), Some(table))
            }
            None => (Behaviour::new(options, exchange.clone(), None, None), None),
        };
        let swarm = Swarm::new(transport, behaviour, options.keypair.public().to_peer_id(), config);
        let mut network = Self {
            swarm,
            exchange,
            dials: Dials::new(dialer),
            commands,
            connecting: HashMap::new(),
            listening: watch::Sender::default(),
            announce: options.announce.clone(),
            is_public: !options.dial.allow_private,
            table,
        };
        network.tell_addresses();
        Ok(network)
    }

    /// The addresses that it listens on, as they change.
    pub fn listening(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.listening.subscribe()
    }

    /// Run until the future is dropped.
    pub async fn run(mut self) {
        let mut commands = Vec::new();
        loop {
            self.begin_dials();
            tokio::select! {
                event = self.swarm.select_next_some() => self.handle(event),
                count = self.commands.recv_many(&mut commands, COMMANDS_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    commands.drain(..).for_each(|command| self.obey(command));
                }
                () = tokio::time::sleep(DIAL_TICK), if self.dials.is_waiting() => self.dials.look_again(),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Dial(request) => self.queue_dial(request),
            Command::Connect(request, reply) => self.connect(request, reply),
            // Whether it was still connected does not matter.
            Command::Disconnect(peer) => drop(self.swarm.disconnect_peer_id(peer)),
            Command::Table(command) => self.with_table(|table, kad| table.handle(kad, command)),
        }
    }

    fn with_table(&mut self, act: impl FnOnce(&Table, &mut dht::KadBehaviour)) {
        if let Some((table, kad)) = self.table.as_ref().zip(self.swarm.behaviour_mut().kad.as_mut()) {
            act(table, kad);
        }
    }

    fn connect(&mut self, request: DialRequest, reply: oneshot::Sender<Result<(), NotReached>>) {
        if self.swarm.is_connected(&request.peer) {
            // Whoever asked may have gone.
            let _gone = reply.send(Ok(()));
            return;
        }
        let waiting = self.connecting.entry(request.peer).or_default();
        waiting.retain(|reply| !reply.is_closed());
        waiting.push(reply);
        self.queue_dial(request);
    }

    fn queue_dial(&mut self, request: DialRequest) {
        if let Some(left_out) = self.dials.add(request, Instant::now()) {
            self.not_dialled(left_out);
        }
    }

    fn begin_dials(&mut self) {
        while let Some(options) = self.dials.next(Instant::now()) {
            let (connection, peer) = (options.connection_id(), options.get_peer_id());
            if let Err(error) = self.swarm.dial(options) {
                self.dial_failed(connection, peer, &error);
            }
        }
    }

    /// Tell those who wait for the peer that it was not reached, unless another dial of it waits or is under way.
    fn not_dialled(&mut self, peer: PeerId) {
        if !self.dials.has(&peer) {
            self.reply_to(&peer, Err(NotReached));
            self.exchange.unreached(peer);
        }
    }

    fn reply_to(&mut self, peer: &PeerId, reached: Result<(), NotReached>) {
        for reply in self.connecting.remove(peer).into_iter().flatten() {
            // Whoever asked may have gone.
            let _gone = reply.send(reached);
        }
    }

    fn dial_failed(&mut self, connection: swarm::ConnectionId, peer: Option<PeerId>, error: &DialError) {
        tracing::debug!(%error, "a peer was not reached");
        self.dials.failed(connection, error, Instant::now());
        let Some(peer) = peer else { return };
        if matches!(error, DialError::DialPeerConditionFalse(_)) {
            // It is connected, of which others are told by its connection.
            self.reply_to(&peer, Ok(()));
        } else {
            self.not_dialled(peer);
        }
    }
}
