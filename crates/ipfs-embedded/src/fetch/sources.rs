//! The peers that a fetch asks, and how they did.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use tokio::time::Instant;

use super::standing::{self, Standing};
use crate::bitswap::Peer;
use crate::dht::PeerInfo;
use crate::dial::Dialer;
use crate::fellows::Addresses;
use crate::redial::Backoff;

/// Providers that were found and are dialled at once, and all that are tried in one fetch.
const MAX_FOUND_AT_ONCE: usize = 10;
const MAX_FOUND: usize = 60;

/// Wants that tell whether an origin has anything, before others are preferred to it.
const MAX_UNPROVEN: usize = 2;
/// Wants of all strangers together that only said that they have something, before others are preferred to them.
const MAX_TRIALS: usize = 4;

/// A reason to believe that a peer has blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// None.
    Nothing,
    /// It said that it has one.
    Said,
    /// It sent one.
    Gave,
}

/// A peer that is asked for blocks.
pub struct Source {
    /// The peer, while it is connected.
    pub peer: Arc<Peer>,
    /// Blocks asked of it and not settled.
    pub in_flight: usize,
    /// Its reason to be asked; an origin is asked without one.
    pub proof: Proof,
    /// It let wants run out and sent nothing since; others go before it.
    pub silent: bool,
    /// It said that it does not have something.
    pub refused: bool,
}

impl Source {
    /// Whether it can be counted on: it sent a block, or it said that it has one and was not waited for in vain.
    pub fn is_credible(&self) -> bool {
        self.proof == Proof::Gave || self.proof == Proof::Said && !self.silent
    }
}

/// A peer that is said to have the DAG, by a user or a provider record, or a fellow worker's.
struct Origin {
    addresses: Vec<Multiaddr>,
    /// Whoever asked for the DAG named it.
    named: bool,
    fellow: bool,
    /// Said of it by somebody else on the network: it is dialled once, and has none of the places of origins.
    found: bool,
    redial: Backoff,
    /// Where it stood when it was last connected, if it ever was.
    reached: Option<Standing>,
    contact: Contact,
}

/// Where the last attempt to connect to an origin stands.
#[derive(PartialEq, Eq)]
enum Contact {
    /// It is to be dialled when it is its turn.
    Waiting,
    /// It is being dialled, or is about to be.
    Pending,
    /// The dial failed.
    Failed,
    Connected,
}

impl Origin {
    fn standing(&self, source: Option<&Source>, dialer: &Dialer) -> Standing {
        let standing = source.map(|source| standing_of(&source.peer)).or(self.reached);
        standing.unwrap_or_else(|| Standing::of_unconnected(&self.addresses, dialer))
    }

    fn new(now: Instant) -> Self {
        Self {
            addresses: Vec::new(),
            named: false,
            fellow: false,
            found: false,
            redial: Backoff::of_named(now),
            reached: None,
            contact: Contact::Pending,
        }
    }
}

impl Origin {
    /// Adds addresses; if any is new, all are dialled at once.
    fn extend(&mut self, addresses: impl IntoIterator<Item = Multiaddr>, now: Instant) {
        for address in addresses {
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
                self.redial.make_due(now);
                self.contact = if self.named || self.fellow { Contact::Pending } else { Contact::Waiting };
            }
        }
    }

    /// Begins the one dial of a found provider, if there is room.
    fn takes_turn(&mut self, room: &mut usize) -> bool {
        let may_begin = self.contact == Contact::Waiting && *room > 0;
        if may_begin {
            *room -= 1;
            self.contact = Contact::Pending;
        }
        may_begin
    }
}

fn standing_of(peer: &Peer) -> Standing {
    if peer.lacks_bitswap() { Standing::NoBitswap } else { Standing::Asked }
}

/// All peers of one fetch.
pub struct Sources {
    sources: HashMap<PeerId, Source>,
    origins: HashMap<PeerId, Origin>,
}

impl Sources {
    /// Nobody but the fellow workers' nodes so far.
    pub fn new(fellows: &Addresses, now: Instant) -> Self {
        let origins = fellows.iter().map(|(peer, addresses)| {
            let origin = Origin { addresses: addresses.clone(), fellow: true, ..Origin::new(now) };
            (*peer, origin)
        });
        Self { sources: HashMap::new(), origins: origins.collect() }
    }

    /// Take in the addresses of the origins; `/p2p/<peer id>` alone is an origin whose addresses are to be found.
    pub fn set_origins(&mut self, addresses: &[Multiaddr], now: Instant) {
        for address in addresses {
            let Some(Protocol::P2p(peer)) = address.iter().last() else { continue };
            let origin = self.origins.entry(peer).or_insert_with(|| Origin::new(now));
            origin.named = true;
            let is_bare = address.iter().count() == 1;
            if !is_bare {
                origin.extend([address.clone()], now);
            }
        }
    }

    /// Take in a provider that was found.
    pub fn add_found(&mut self, provider: &PeerInfo, now: Instant) {
        if let Some(known) = self.origins.get_mut(&provider.id) {
            known.extend(provider.full_addresses(), now);
        } else if self.found().count() < MAX_FOUND {
            let (addresses, contact) = (provider.full_addresses(), Contact::Waiting);
            let found = Origin { addresses, contact, found: true, ..Origin::new(now) };
            self.origins.insert(provider.id, found);
        }
    }

    fn found(&self) -> impl Iterator<Item = &Origin> {
        self.origins.values().filter(|origin| origin.found && !origin.named)
    }

    /// The peers that are named origins or fellows.
    pub fn origins(&self) -> impl Iterator<Item = PeerId> {
        let origins = self.origins.iter().filter(|(_, origin)| origin.named || origin.fellow);
        origins.map(|(peer, _)| *peer)
    }

    /// Whether the peer is an origin, a found provider or a fellow, which is asked without having said that it has anything.
    pub fn is_origin(&self, peer: &PeerId) -> bool {
        self.origins.contains_key(peer)
    }

    /// The origins that are due to be dialled, with those of their addresses that are known.
    pub fn due_dials(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let dialled = self.found().filter(|origin| origin.contact == Contact::Pending).count();
        let mut room = MAX_FOUND_AT_ONCE.saturating_sub(dialled);
        let mut due = Vec::new();
        for (peer, origin) in &mut self.origins {
            let may_begin = !self.sources.contains_key(peer) && origin.redial.is_due(now);
            if may_begin && (origin.named || origin.fellow || origin.takes_turn(&mut room)) {
                origin.redial.note_attempt(now);
                due.push((*peer, origin.addresses.clone()));
            }
        }
        due
    }

    /// A dial of this peer failed.
    pub fn note_unreached(&mut self, peer: &PeerId) {
        if let Some(origin) = self.origins.get_mut(peer) {
            origin.contact = Contact::Failed;
        }
    }

    /// Whether it is still to be seen whether an origin that was named or a provider that was found can be reached.
    pub fn awaits_contact(&self) -> bool {
        let is_awaited = |origin: &Origin| matches!(origin.contact, Contact::Waiting | Contact::Pending);
        self.origins.values().any(|origin| (origin.named || origin.found) && is_awaited(origin))
    }

    /// Describes the providers that were found, for people; none if none were.
    pub fn describe_found(&self) -> Option<String> {
        let (found, reached) = (self.found().count(), self.found().filter(|origin| origin.reached.is_some()).count());
        let found = match found {
            0 => return None,
            1 => "one provider was found".to_owned(),
            _ => format!("{found} providers were found"),
        };
        Some(match reached {
            0 => format!("{found} and could not be reached"),
            _ => format!("{found}, of which {reached} could be reached"),
        })
    }

    /// Ask this peer from now on.
    pub fn add(&mut self, peer: &Arc<Peer>, proof: Proof) {
        if let Some(origin) = self.origins.get_mut(&peer.id) {
            origin.reached = Some(standing_of(peer));
            origin.contact = Contact::Connected;
        }
        let fresh = Source { peer: peer.clone(), in_flight: 0, proof, silent: false, refused: false };
        let source = self.sources.entry(peer.id).or_insert(fresh);
        source.proof = source.proof.max(proof);
    }

    /// The peer is gone.
    pub fn remove(&mut self, peer: &PeerId, now: Instant) {
        let gone = self.sources.remove(peer);
        if let Some(origin) = self.origins.get_mut(peer) {
            origin.reached = gone.map(|gone| standing_of(&gone.peer)).or(origin.reached);
            origin.redial.reset(now);
            origin.contact = if origin.named || origin.fellow { Contact::Pending } else { Contact::Waiting };
        }
    }

    /// A peer that is asked.
    pub fn get(&self, peer: &PeerId) -> Option<&Source> {
        self.sources.get(peer)
    }

    /// A peer that is asked.
    pub fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Source> {
        self.sources.get_mut(peer)
    }

    /// All peers that are asked.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.sources.values()
    }

    /// The peers to ask for a block that none of `except` should be asked for, the best first: those that answer
    /// before silent ones, those that sent a block before others that were asked for something already or do not have
    /// something, fellows before strangers, and of them the one with the fewest wants, so that the faster gets more.
    pub fn best(&self, except: &HashSet<PeerId>, late: &[PeerId]) -> Vec<Arc<Peer>> {
        let untried = |source: &Source| source.proof < Proof::Gave && !self.origins.contains_key(&source.peer.id);
        let trials = self.sources.values().filter(|source| untried(source)).map(|source| source.in_flight);
        let enough_trials = trials.sum::<usize>() >= MAX_TRIALS;
        let mut fit = self.sources.values().filter(|source| !except.contains(&source.peer.id)).collect::<Vec<_>>();
        fit.sort_by_key(|source| {
            let asked = source.refused || source.in_flight >= MAX_UNPROVEN || enough_trials && untried(source);
            let silent = source.silent || source.peer.has_let_down() || late.contains(&source.peer.id);
            let stranger = !self.origins.get(&source.peer.id).is_some_and(|origin| origin.fellow);
            (silent, source.proof < Proof::Gave && asked, stranger, source.in_flight)
        });
        fit.into_iter().map(|source| source.peer.clone()).collect()
    }

    /// Returns whether there are origins and none was reached, and what became of them and of `probed`, for people.
    pub fn describe<'a>(&'a self, probed: impl Iterator<Item = &'a PeerId>, dialer: &Dialer) -> (bool, String) {
        let named = self.origins.iter().filter(|(_, origin)| origin.named);
        let standings = named.map(|(peer, origin)| origin.standing(self.sources.get(peer), dialer)).collect::<Vec<_>>();
        let unreached = !standings.is_empty() && !standings.iter().any(|standing| standing.is_reached());
        let is_other = |peer: &&PeerId| !self.origins.get(peer).is_some_and(|origin| origin.named);
        let others = self.sources.keys().chain(probed).filter(is_other).collect::<HashSet<_>>();
        let peers = match others.len() {
            0 => "no other peer is connected".to_owned(),
            1 => "one connected peer was asked".to_owned(),
            asked => format!("{asked} connected peers were asked"),
        };
        (unreached, format!("{}, {peers}", standing::describe(standings)))
    }
}
