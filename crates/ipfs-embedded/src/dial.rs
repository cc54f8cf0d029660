//! Dialling peers, in bounds and in turns: what is sent to us as an origin must not make this node a port scanner, and
//! whoever names many that never answer must not keep others waiting.

mod load;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId};
use pinrail_block_store::NodeKey;
use tokio::time::Instant;

use self::load::Load;
use crate::attempts::{Attempts, Outcome};
use crate::gate::{Host, OutboundGate, Wire};
use crate::network::Commands;
use crate::peer_routing::PeerLookups;
use crate::redial::FailedDials;

/// Dials under way at once in each lane: for fetches, and for look-ups.
const MAX_DIALS: usize = 64;
const MAX_LOOK_UP_DIALS: usize = 32;
/// Connections that were dialled for look-ups and are not closed yet.
const MAX_LOOK_UP_CONNECTIONS: usize = 128;
/// Of these, dials for one account.
const MAX_DIALS_PER_ACCOUNT: usize = 16;
/// Addresses of one peer that are tried in one dial.
const MAX_ADDRESSES: usize = 8;
/// Dials that wait for their turn; above that the account with the most of them loses its newest.
const MAX_QUEUED: usize = 1_024;
/// An address is not dialled again sooner than this, whoever asks.
const SAME_ADDRESS: Duration = Duration::from_millis(900);
/// A peer is dialled over one wire alone for so long, then over others too.
const HEAD_START: Duration = Duration::from_secs(1);
/// Accounts and roots whose last turn is remembered.
const MAX_TURNS: usize = 4_096;

/// On whose behalf a peer is dialled; the node itself has neither account nor root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Asker {
    /// What the dial is for.
    pub lane: Lane,
    /// The account, as a number that means nothing here.
    pub account: Option<u128>,
    /// The root that is fetched.
    pub root: Option<NodeKey>,
}

/// What a peer is dialled for: neither can take all dials from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lane {
    /// To fetch blocks, or to stay connected with a sibling.
    #[default]
    Fetch,
    /// To ask it whom it knows; there are thousands of such peers, so one that fails is left alone for longer.
    LookUp,
}

impl Lane {
    const fn max_dials(self) -> usize {
        match self {
            Self::Fetch => MAX_DIALS,
            Self::LookUp => MAX_LOOK_UP_DIALS,
        }
    }

    const fn max_dials_per_account(self) -> usize {
        match self {
            Self::Fetch => MAX_DIALS_PER_ACCOUNT,
            Self::LookUp => MAX_LOOK_UP_DIALS,
        }
    }
}

/// A peer that is to be dialled.
#[derive(Debug)]
pub struct DialRequest {
    /// On whose behalf.
    pub asker: Asker,
    /// The peer.
    pub peer: PeerId,
    /// Where it may be, each ending in `/p2p/<peer id>`.
    pub addresses: Vec<Multiaddr>,
}

/// Asks the node to dial.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// Where dials are asked for.
    pub commands: Commands,
    /// What may be dialled.
    pub gate: OutboundGate,
    /// What became of earlier dials.
    pub attempts: Attempts,
    /// Where peers without addresses are looked up.
    pub lookups: PeerLookups,
}

impl Dialer {
    /// A dialer whose dials go where the gate lets them.
    pub fn new(gate: OutboundGate, commands: Commands) -> Self {
        Self { commands, gate, attempts: Attempts::default(), lookups: PeerLookups::default() }
    }

    /// Have `peer` dialled soon, unless it is connected, at addresses that are looked up if there are none; that it was
    /// reached is known by its being connected.
    pub fn dial(&self, asker: Asker, peer: PeerId, addresses: Vec<Multiaddr>) {
        if addresses.is_empty() {
            self.lookups.find_and_dial(asker, peer, &self.commands);
        } else {
            self.commands.dial(DialRequest { asker, peer, addresses });
        }
    }
}

/// An address that may be dialled.
#[derive(Debug)]
struct Candidate {
    address: Multiaddr,
    wire: Wire,
    host: Host,
}

/// A dial that waits for its turn.
#[derive(Debug)]
struct Waiting {
    asker: Asker,
    peer: PeerId,
    addresses: Vec<Candidate>,
}

/// A dial under way.
#[derive(Debug)]
struct UnderWay {
    asker: Asker,
    peer: PeerId,
    addresses: Vec<Candidate>,
    since: Instant,
}

/// Whose last turn is remembered.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Turn {
    Account(Lane, Option<u128>),
    Root(Option<NodeKey>),
}

/// The dials that wait and those under way.
#[derive(Debug)]
pub struct Dials {
    gate: OutboundGate,
    /// What became of earlier dials.
    pub attempts: Attempts,
    queue: VecDeque<Waiting>,
    under_way: HashMap<ConnectionId, UnderWay>,
    /// Connections that were dialled for look-ups.
    look_ups: HashSet<ConnectionId>,
    failed: FailedDials,
    recent: HashMap<Multiaddr, Instant>,
    turns: HashMap<Turn, u64>,
    next_turn: u64,
    /// Whether anything happened since no dial was allowed.
    changed: bool,
}

impl Dials {
    /// No dials yet; they go where the dialer's gate lets them.
    pub fn new(dialer: &Dialer) -> Self {
        Self {
            gate: dialer.gate.clone(),
            attempts: dialer.attempts.clone(),
            queue: VecDeque::new(),
            under_way: HashMap::new(),
            look_ups: HashSet::new(),
            failed: FailedDials::default(),
            recent: HashMap::new(),
            turns: HashMap::new(),
            next_turn: 1,
            changed: false,
        }
    }

    /// Queue a dial of those addresses that may be dialled. Returns the peer whose dial is left out, if one is: this one
    /// when there are none, or another to make room.
    pub fn add(&mut self, request: DialRequest, now: Instant) -> Option<PeerId> {
        let DialRequest { asker, peer, addresses } = request;
        let is_allowed = asker.lane == Lane::Fetch || self.failed.allow(&peer, now);
        let addresses = if is_allowed { self.candidates(asker.lane, addresses, now) } else { Vec::new() };
        if addresses.is_empty() {
            return Some(peer);
        }
        self.changed = true;
        match self.queue.iter_mut().find(|waiting| (waiting.asker, waiting.peer) == (asker, peer)) {
            Some(waiting) => waiting.addresses = addresses,
            None => self.queue.push_back(Waiting { asker, peer, addresses }),
        }
        if self.queue.len() > MAX_QUEUED { self.drop_one() } else { None }
    }

    fn candidates(&self, lane: Lane, addresses: Vec<Multiaddr>, now: Instant) -> Vec<Candidate> {
        let allowed = addresses.into_iter();
        let allowed = allowed.filter(|address| lane == Lane::Fetch || self.failed.allow_address(address, now));
        let candidate = |address: Multiaddr| match self.gate.check(&address) {
            Ok((wire, host)) => Some(Candidate { address, wire, host }),
            Err(refusal) => {
                self.gate.note(&address, refusal);
                None
            }
        };
        allowed.filter_map(candidate).collect()
    }

    /// The next dial that the bounds allow at `now`: the account with the fewest dials first, then the one whose turn
    /// was longest ago; of an account's, those that did not fail before, then those of the root whose turn it is.
    pub fn next(&mut self, now: Instant) -> Option<DialOpts> {
        if !self.changed {
            return None;
        }
        self.recent.retain(|_, last| now.duration_since(*last) < SAME_ADDRESS);
        let load = Load::of(self.under_way.values());
        let turn = |turn: &Turn| self.turns.get(turn).copied().unwrap_or(0);
        let order = |(index, waiting): (usize, &Waiting)| {
            let (Asker { lane, account, root }, fit) = (waiting.asker, self.fit(waiting, &load, now));
            let best = fit.first().map(|(rank, _)| *rank)?;
            let last = turn(&Turn::Account(lane, account));
            let order = (load.of_account(waiting.asker), last, best > 1, turn(&Turn::Root(root)));
            Some((order, index))
        };
        let Some((_, index)) = self.queue.iter().enumerate().filter_map(order).min() else {
            self.changed = false;
            return None;
        };
        let fit = self.fit(&self.queue[index], &load, now);
        let fit = fit.into_iter().map(|(_, candidate)| candidate.address.clone()).collect();
        Some(self.begin(index, fit, now))
    }

    /// Begin a dial of some of its addresses; the others go on waiting.
    fn begin(&mut self, index: usize, fit: Vec<Multiaddr>, now: Instant) -> DialOpts {
        let waiting = &mut self.queue[index];
        let (asker, peer) = (waiting.asker, waiting.peer);
        let all = std::mem::take(&mut waiting.addresses);
        let (addresses, others) = all.into_iter().partition(|candidate| fit.contains(&candidate.address));
        waiting.addresses = others;
        if waiting.addresses.is_empty() {
            self.queue.remove(index);
        }
        if self.turns.len() > MAX_TURNS {
            self.turns.clear();
        }
        self.turns.insert(Turn::Account(asker.lane, asker.account), self.next_turn);
        self.turns.insert(Turn::Root(asker.root), self.next_turn);
        self.next_turn += 1;
        self.recent.extend(fit.iter().map(|address| (address.clone(), now)));
        let options = DialOpts::peer_id(peer).addresses(fit).condition(PeerCondition::Disconnected).build();
        self.under_way.insert(options.connection_id(), UnderWay { asker, peer, addresses, since: now });
        options
    }

    /// Those of its addresses that may be dialled now with their ranks, the best first and all of one wire.
    fn fit<'a>(&self, waiting: &'a Waiting, load: &Load<'_>, now: Instant) -> Vec<(u32, &'a Candidate)> {
        let Asker { lane, account, .. } = waiting.asker;
        let is_full = lane == Lane::LookUp && self.look_ups.len() >= MAX_LOOK_UP_CONNECTIONS;
        if is_full || !load.has_room_for(waiting.asker) {
            return Vec::new();
        }
        let has_room = |Candidate { address, wire, host }: &&Candidate| {
            let is_fresh = !self.recent.contains_key(address) && !load.addresses.contains(address);
            is_fresh && load.has_room_at(host, account) && !self.has_head_start(&waiting.peer, *wire, now)
        };
        let fit = waiting.addresses.iter().filter(has_room);
        let mut fit = fit.map(|candidate| (self.attempts.rank(&candidate.address), candidate)).collect::<Vec<_>>();
        fit.sort_by_key(|(rank, candidate)| (*rank, candidate.wire));
        let first = fit.first().map(|(_, candidate)| candidate.wire);
        fit.retain(|(_, candidate)| Some(candidate.wire) == first);
        fit.truncate(MAX_ADDRESSES);
        fit
    }

    /// Whether a dial of the peer over another wire than this began a moment ago.
    fn has_head_start(&self, peer: &PeerId, wire: Wire, now: Instant) -> bool {
        let mut dials = self.under_way.values().filter(|dial| dial.peer == *peer);
        dials.any(|dial| {
            now.duration_since(dial.since) < HEAD_START && dial.addresses.iter().any(|other| other.wire != wire)
        })
    }

    /// A dial reached its peer at this address; whether the connection is for look-ups.
    pub fn reached(&mut self, connection: ConnectionId, peer: &PeerId, address: &Multiaddr) -> bool {
        self.changed = true;
        self.failed.forget(peer, address);
        self.attempts.note(address, Outcome::Connected);
        let dial = self.under_way.remove(&connection);
        let is_look_up = dial.is_some_and(|dial| dial.asker.lane == Lane::LookUp);
        if is_look_up {
            self.look_ups.insert(connection);
        }
        is_look_up
    }

    /// A dial failed or was not begun.
    pub fn failed(&mut self, connection: ConnectionId, error: &DialError, now: Instant) {
        self.changed = true;
        let Some(dial) = self.under_way.remove(&connection) else { return };
        let tried = dial.addresses.iter().map(|candidate| &candidate.address);
        self.attempts.note_failure(tried.clone(), error);
        if !matches!(error, DialError::DialPeerConditionFalse(_)) {
            self.failed.note_failure(dial.peer, tried, now);
        }
    }

    /// A connection was closed.
    pub fn closed(&mut self, connection: ConnectionId) {
        self.changed |= self.look_ups.remove(&connection);
    }

    /// A peer is connected, so nobody needs to dial it any more.
    pub fn forget(&mut self, peer: &PeerId) {
        self.changed = true;
        self.queue.retain(|waiting| waiting.peer != *peer);
    }

    /// Whether a dial of this peer waits or is under way.
    pub fn has(&self, peer: &PeerId) -> bool {
        self.queue.iter().any(|waiting| waiting.peer == *peer)
            || self.under_way.values().any(|under_way| under_way.peer == *peer)
    }

    /// Whether a dial waits for a bound to allow it.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Time has passed, which is what some of those that wait are waiting for.
    pub fn look_again(&mut self) {
        self.changed = true;
    }

    /// Drop the newest dial of the account that has most of them waiting; whoever needs it asks again.
    fn drop_one(&mut self) -> Option<PeerId> {
        let mut counts = HashMap::new();
        for waiting in &self.queue {
            *counts.entry(waiting.asker.account).or_insert(0_usize) += 1;
        }
        let greediest = counts.into_iter().max_by_key(|(_, count)| *count).map(|(account, _)| account)?;
        let index = self.queue.iter().rposition(|waiting| waiting.asker.account == greediest)?;
        tracing::debug!("too many dials wait, one is left out");
        self.queue.remove(index).map(|waiting| waiting.peer)
    }
}
