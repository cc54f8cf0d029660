//! Dialling peers, in bounds and in turns: what is sent to us as an origin must not make this node a port scanner, and
//! whoever names many that never answer must not keep others waiting.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use pinrail_block_store::NodeKey;
use tokio::time::Instant;

use crate::attempts::Attempts;
use crate::gate::{Host, OutboundGate};
use crate::network::Commands;

/// Dials under way at once.
const MAX_DIALS: usize = 64;
/// Of these, dials for one account.
const MAX_DIALS_PER_ACCOUNT: usize = 16;
/// Of these, dials for one root.
const MAX_DIALS_PER_ROOT: usize = 8;
/// Dials under way at once to one host, whatever the peer.
const MAX_DIALS_PER_HOST: usize = 8;
/// Of these, dials for one account.
const MAX_DIALS_PER_HOST_AND_ACCOUNT: usize = 4;
/// Addresses of one peer that are tried in one dial.
const MAX_ADDRESSES: usize = 8;
/// Dials that wait for their turn; above that the account with the most of them loses its newest.
const MAX_QUEUED: usize = 1_024;
/// An address is not dialled again sooner than this, whoever asks.
const SAME_ADDRESS: Duration = Duration::from_millis(900);
/// Accounts and roots whose last turn is remembered.
const MAX_TURNS: usize = 4_096;

/// On whose behalf a peer is dialled; the node itself has neither account nor root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Asker {
    /// The account, as a number that means nothing here.
    pub account: Option<u128>,
    /// The root that is fetched.
    pub root: Option<NodeKey>,
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
}

impl Dialer {
    /// A dialer whose dials go where the gate lets them.
    pub fn new(gate: OutboundGate, commands: Commands) -> Self {
        Self { commands, gate, attempts: Attempts::default() }
    }

    /// Have `peer` dialled soon, unless it is connected; that it was reached is known by its being connected.
    pub fn dial(&self, asker: Asker, peer: PeerId, addresses: Vec<Multiaddr>) {
        self.commands.dial(DialRequest { asker, peer, addresses });
    }
}

/// A dial that waits for its turn.
#[derive(Debug)]
struct Waiting {
    asker: Asker,
    peer: PeerId,
    addresses: Vec<(Multiaddr, Host)>,
}

/// A dial under way.
#[derive(Debug)]
struct UnderWay {
    asker: Asker,
    peer: PeerId,
    addresses: Vec<(Multiaddr, Host)>,
}

/// Whose last turn is remembered.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Turn {
    Account(Option<u128>),
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
            recent: HashMap::new(),
            turns: HashMap::new(),
            next_turn: 1,
            changed: false,
        }
    }

    /// Queue a dial of those addresses that may be dialled. Returns the peer whose dial is left out, if one is: this one
    /// when there are none, or another to make room.
    pub fn add(&mut self, DialRequest { asker, peer, addresses }: DialRequest) -> Option<PeerId> {
        let admitted = |address: Multiaddr| match self.gate.check(&address) {
            Ok(host) => Some((address, host)),
            Err(refusal) => {
                self.gate.note(&address, refusal);
                None
            }
        };
        let addresses = addresses.into_iter().filter_map(admitted).collect::<Vec<_>>();
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

    /// The next dial that the bounds allow at `now`: the account with the fewest dials first, then the one whose turn
    /// was longest ago; of an account's, those that did not fail before, then those of the root whose turn it is.
    pub fn next(&mut self, now: Instant) -> Option<DialOpts> {
        if !self.changed || self.under_way.len() >= MAX_DIALS {
            return None;
        }
        self.recent.retain(|_, last| now.duration_since(*last) < SAME_ADDRESS);
        let load = Load::of(self.under_way.values());
        let turn = |turn: &Turn| self.turns.get(turn).copied().unwrap_or(0);
        let order = |(index, waiting): (usize, &Waiting)| {
            let (Asker { account, root }, fit) = (waiting.asker, self.fit(waiting, &load));
            let best = fit.first().map(|(rank, _)| *rank)?;
            let order = (load.of_account(account), turn(&Turn::Account(account)), best > 1, turn(&Turn::Root(root)));
            Some((order, index))
        };
        let Some((_, index)) = self.queue.iter().enumerate().filter_map(order).min() else {
            self.changed = false;
            return None;
        };
        let fit = self.fit(&self.queue[index], &load).into_iter().map(|(_, address)| address.clone()).collect();
        Some(self.begin(index, fit, now))
    }

    /// Begin a dial of some of its addresses; the others go on waiting.
    fn begin(&mut self, index: usize, fit: Vec<Multiaddr>, now: Instant) -> DialOpts {
        let waiting = &mut self.queue[index];
        let (asker, peer) = (waiting.asker, waiting.peer);
        let all = std::mem::take(&mut waiting.addresses);
        let (addresses, others) = all.into_iter().partition(|(address, _)| fit.contains(address));
        waiting.addresses = others;
        if waiting.addresses.is_empty() {
            self.queue.remove(index);
        }
        if self.turns.len() > MAX_TURNS {
            self.turns.clear();
        }
        self.turns.insert(Turn::Account(asker.account), self.next_turn);
        self.turns.insert(Turn::Root(asker.root), self.next_turn);
        self.next_turn += 1;
        self.recent.extend(fit.iter().map(|address| (address.clone(), now)));
        let options = DialOpts::peer_id(peer).addresses(fit).condition(PeerCondition::Disconnected).build();
        self.under_way.insert(options.connection_id(), UnderWay { asker, peer, addresses });
        options
    }

    /// Those of its addresses that may be dialled now with their ranks, the best first.
    fn fit<'a>(&self, waiting: &'a Waiting, load: &Load<'_>) -> Vec<(u32, &'a Multiaddr)> {
        if !load.has_room_for(waiting.asker) {
            return Vec::new();
        }
        let has_room = |(address, host): &&(Multiaddr, Host)| {
            let is_fresh = !self.recent.contains_key(address) && !load.addresses.contains(address);
            is_fresh && load.has_room_at(host, waiting.asker.account)
        };
        let fit = waiting.addresses.iter().filter(has_room);
        let mut fit = fit.map(|(address, _)| (self.attempts.rank(address), address)).collect::<Vec<_>>();
        fit.sort_by_key(|(rank, _)| *rank);
        fit.truncate(MAX_ADDRESSES);
        fit
    }

    /// A dial succeeded, failed or was not begun; returns what it tried.
    pub fn ended(&mut self, connection: ConnectionId) -> Vec<Multiaddr> {
        self.changed = true;
        let ended = self.under_way.remove(&connection);
        ended.map(|ended| ended.addresses.into_iter().map(|(address, _)| address).collect()).unwrap_or_default()
    }

    /// A peer is connected, so nobody needs to dial it any more.
    pub fn forget(&mut self, peer: &PeerId) {
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

/// What the dials under way take up.
struct Load<'a> {
    accounts: HashMap<Option<u128>, usize>,
    roots: HashMap<Option<NodeKey>, usize>,
    hosts: HashMap<&'a Host, usize>,
    hosts_of_accounts: HashMap<(&'a Host, Option<u128>), usize>,
    addresses: HashSet<&'a Multiaddr>,
}

impl<'a> Load<'a> {
    fn of(dials: impl Iterator<Item = &'a UnderWay>) -> Self {
        let (accounts, roots, hosts, addresses) = Default::default();
        let mut load = Self { accounts, roots, hosts, hosts_of_accounts: HashMap::new(), addresses };
        for dial in dials {
            let Asker { account, root } = dial.asker;
            *load.accounts.entry(account).or_default() += 1;
            *load.roots.entry(root).or_default() += 1;
            for host in dial.addresses.iter().map(|(_, host)| host).collect::<HashSet<_>>() {
                *load.hosts.entry(host).or_default() += 1;
                *load.hosts_of_accounts.entry((host, account)).or_default() += 1;
            }
            load.addresses.extend(dial.addresses.iter().map(|(address, _)| address));
        }
        load
    }

    fn of_account(&self, account: Option<u128>) -> usize {
        self.accounts.get(&account).copied().unwrap_or(0)
    }

    fn has_room_for(&self, Asker { account, root }: Asker) -> bool {
        let of_root = self.roots.get(&root).copied().unwrap_or(0);
        self.of_account(account) < MAX_DIALS_PER_ACCOUNT && (root.is_none() || of_root < MAX_DIALS_PER_ROOT)
    }

    fn has_room_at(&self, host: &Host, account: Option<u128>) -> bool {
        let of_account = self.hosts_of_accounts.get(&(host, account)).copied().unwrap_or(0);
        let of_all = self.hosts.get(host).copied().unwrap_or(0);
        of_all < MAX_DIALS_PER_HOST && of_account < MAX_DIALS_PER_HOST_AND_ACCOUNT
    }
}
