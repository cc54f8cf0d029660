//! Dialling peers, in bounds: what is sent to us as an origin must not make this node a port scanner.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::gate::{Host, OutboundGate};

/// Dials under way at once.
const MAX_DIALS: usize = 32;
/// Dials under way at once to one host, whatever the peer.
const MAX_DIALS_PER_HOST: usize = 4;
/// Addresses of one peer that are tried in one dial.
const MAX_ADDRESSES: usize = 8;
/// Dials that wait for their turn; further ones are dropped, whoever needs them asks again.
const MAX_QUEUED: usize = 1_024;
/// A peer is not dialled again sooner than this, whoever asks.
const SAME_PEER: Duration = Duration::from_millis(900);

/// Asks the node to dial.
#[derive(Debug, Clone)]
pub struct Dialer(pub(crate) mpsc::UnboundedSender<(PeerId, Vec<Multiaddr>)>);

impl Dialer {
    /// Have `peer` dialled soon, unless it is connected; that it was reached is known by its being connected.
    pub fn dial(&self, peer: PeerId, addresses: Vec<Multiaddr>) {
        // The node's task ends only with the node.
        let _ended = self.0.send((peer, addresses));
    }
}

/// The dials that wait and those under way.
#[derive(Debug)]
pub struct Dials {
    gate: OutboundGate,
    queue: VecDeque<(PeerId, Vec<Multiaddr>)>,
    under_way: HashMap<ConnectionId, Vec<Host>>,
    last: HashMap<PeerId, Instant>,
}

impl Dials {
    /// No dials yet; `gate` says to which addresses there may be any.
    pub fn new(gate: OutboundGate) -> Self {
        Self { gate, queue: VecDeque::new(), under_way: HashMap::new(), last: HashMap::new() }
    }

    /// Queue a dial of those addresses that may be dialled; returns whether there are any.
    pub fn add(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>) -> bool {
        addresses.retain(|address| match self.gate.check(address) {
            Ok(_) => true,
            Err(refusal) => {
                self.gate.note(address, refusal);
                false
            }
        });
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() {
            return false;
        }
        if let Some((_, queued)) = self.queue.iter_mut().find(|(queued, _)| *queued == peer) {
            *queued = addresses;
        } else if self.queue.len() < MAX_QUEUED {
            self.queue.push_back((peer, addresses));
        } else {
            tracing::debug!(%peer, "too many dials wait, one is left out");
        }
        true
    }

    /// The next dial that the bounds allow at `now`.
    pub fn next(&mut self, now: Instant) -> Option<DialOpts> {
        if self.under_way.len() >= MAX_DIALS {
            return None;
        }
        self.last.retain(|_, last| now.duration_since(*last) < SAME_PEER);
        let index = self.queue.iter().position(|(peer, addresses)| {
            !self.last.contains_key(peer) && addresses.iter().all(|address| self.has_room(address))
        })?;
        let (peer, addresses) = self.queue.remove(index)?;
        self.last.insert(peer, now);
        let hosts = addresses.iter().filter_map(|address| self.gate.check(address).ok()).collect();
        let options =
            DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::DisconnectedAndNotDialing).build();
        self.under_way.insert(options.connection_id(), hosts);
        Some(options)
    }

    /// A dial succeeded, failed or was not begun.
    pub fn ended(&mut self, connection: ConnectionId) {
        self.under_way.remove(&connection);
    }

    /// Whether a dial waits for a bound to allow it.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    fn has_room(&self, address: &Multiaddr) -> bool {
        let Ok(host) = self.gate.check(address) else { return true };
        self.under_way.values().filter(|hosts| hosts.contains(&host)).count() < MAX_DIALS_PER_HOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::DialPolicy;

    fn dials() -> Dials {
        Dials::new(OutboundGate::new(DialPolicy { allow_private: true, never: Vec::new() }))
    }

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddr")
    }

    #[tokio::test]
    async fn one_host_is_not_dialled_by_many_at_once() {
        let mut dials = dials();
        for port in 1..=10 {
            dials.add(PeerId::random(), vec![address(&format!("/ip4/203.0.113.142/tcp/{port}"))]);
        }
        let now = Instant::now();
        let begun = std::iter::from_fn(|| dials.next(now)).collect::<Vec<_>>();
        assert_eq!(begun.len(), MAX_DIALS_PER_HOST);
        dials.add(PeerId::random(), vec![address("/ip4/203.0.113.143/tcp/1")]);
        assert!(dials.next(now).is_some(), "another host has room");
        dials.ended(begun[0].connection_id());
        assert!(dials.next(now).is_some(), "one ended");
        assert!(dials.next(now).is_none());
    }

    #[tokio::test]
    async fn a_peer_is_dialled_once_however_many_ask() {
        let mut dials = dials();
        let (peer, now) = (PeerId::random(), Instant::now());
        for _ in 0..5 {
            dials.add(peer, vec![address("/ip4/203.0.113.142/tcp/1")]);
        }
        assert!(dials.next(now).is_some());
        dials.add(peer, vec![address("/ip4/203.0.113.142/tcp/1")]);
        assert!(dials.next(now).is_none(), "it was dialled a moment ago");
        assert!(dials.next(now + SAME_PEER).is_some());
    }
}
