//! The state of one iterative look-up: which server to ask next, and when it is over; pure
//! (kad-dht specification, "Peer routing" and "Content provider discovery").

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::core::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::keyspace::{Distance, Key};
use super::wire::PeerInfo;

/// Servers that keep a record, and that an answer names.
pub const K: usize = 20;
/// Servers that are asked at once.
const ALPHA: usize = 10;
/// A look-up for what some server knows ends when this many of the closest have answered, as go-libp2p-kad-dht has it.
const BETA: usize = 3;
/// A look-up may take this many requests,
const MAX_REQUESTS: usize = 80;
/// and this long.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// What a look-up is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Something that any server may know: providers of a key, addresses of a peer.
    Value,
    /// All of the k closest servers.
    Closest,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this server, and say with [`Search::answered`] or [`Search::failed`] how it went.
    Ask(PeerInfo),
    /// Nothing before an answer comes or the time is over.
    Wait,
    /// It is over; answers to what was asked do not matter any more.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Asked,
    Answered,
    Failed,
}

#[derive(Debug)]
struct Candidate {
    peer: PeerInfo,
    state: State,
}

/// One iterative look-up.
#[derive(Debug)]
pub struct Search {
    own: PeerId,
    target: Key,
    needed: usize,
    ends: Instant,
    candidates: BTreeMap<Distance, Candidate>,
    requests: usize,
    in_flight: usize,
}

impl Search {
    /// A search that begins at `now` with the servers that are known already; `own` is never asked.
    pub fn new(own: PeerId, target: Key, purpose: Purpose, seeds: Vec<PeerInfo>, now: Instant) -> Self {
        let needed = match purpose {
            Purpose::Value => BETA,
            Purpose::Closest => K,
        };
        let (ends, candidates) = (now + TIME_LIMIT, BTreeMap::new());
        let mut search = Self { own, target, needed, ends, candidates, requests: 0, in_flight: 0 };
        for seed in seeds {
            search.add(seed);
        }
        search
    }

    /// When it is over at the latest.
    pub fn ends(&self) -> Instant {
        self.ends
    }

    /// What to do next, at `now`.
    pub fn next(&mut self, now: Instant) -> Step {
        if now >= self.ends || self.is_complete() {
            return Step::Done;
        }
        let has_room = self.in_flight < ALPHA && self.requests < MAX_REQUESTS;
        let next = self.candidates.values_mut().filter(|candidate| candidate.state != State::Failed).take(K);
        match next.into_iter().find(|candidate| candidate.state == State::New).filter(|_| has_room) {
            Some(candidate) => {
                candidate.state = State::Asked;
                self.requests += 1;
                self.in_flight += 1;
                Step::Ask(candidate.peer.clone())
            }
            None if self.in_flight == 0 => Step::Done,
            None => Step::Wait,
        }
    }

    /// A server that was asked named these as closer ones. Those without an address that can be dialled as it stands are
    /// left out: a stranger must not choose the names that we resolve.
    pub fn answered(&mut self, server: &PeerId, closer: Vec<PeerInfo>) {
        if !self.settle(server, State::Answered) {
            return;
        }
        for mut peer in closer.into_iter().take(K) {
            peer.addresses.retain(is_resolved);
            if !peer.addresses.is_empty() {
                self.add(peer);
            }
        }
    }

    /// A server that was asked did not answer.
    pub fn failed(&mut self, server: &PeerId) {
        self.settle(server, State::Failed);
    }

    /// The closest servers that answered, at most k, the closest first.
    pub fn closest(&self) -> Vec<PeerInfo> {
        self.in_state(State::Answered).take(K).cloned().collect()
    }

    /// The servers that did not answer, unless none did: then it is us who are cut off.
    pub fn silent(&self) -> Vec<PeerId> {
        if self.in_state(State::Answered).next().is_none() {
            return Vec::new();
        }
        self.in_state(State::Failed).map(|peer| peer.id).collect()
    }

    fn in_state(&self, state: State) -> impl Iterator<Item = &PeerInfo> {
        self.candidates.values().filter(move |candidate| candidate.state == state).map(|candidate| &candidate.peer)
    }

    /// Whether the closest of those that did not fail have answered.
    fn is_complete(&self) -> bool {
        let mut alive = self.candidates.values().filter(|candidate| candidate.state != State::Failed);
        alive.by_ref().take(self.needed).all(|candidate| candidate.state == State::Answered)
    }

    fn add(&mut self, peer: PeerInfo) {
        if peer.id == self.own {
            return;
        }
        let distance = peer.key().distance(&self.target);
        let new = || Candidate { peer: PeerInfo { id: peer.id, addresses: Vec::new() }, state: State::New };
        self.candidates.entry(distance).or_insert_with(new).peer.extend(peer.addresses);
    }

    /// Takes in the end of a request; false if this server was not being asked.
    fn settle(&mut self, server: &PeerId, state: State) -> bool {
        let distance = Key::of(&server.to_bytes()).distance(&self.target);
        let asked = self.candidates.get_mut(&distance).filter(|candidate| candidate.state == State::Asked);
        let is_asked = asked.map(|candidate| candidate.state = state).is_some();
        self.in_flight -= usize::from(is_asked);
        is_asked
    }
}

fn is_resolved(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Memory(_)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn info(id: PeerId) -> PeerInfo {
        PeerInfo { id, addresses: vec!["/ip4/8.8.8.8/tcp/4001".parse().expect("a multiaddr")] }
    }

    fn new_peer() -> PeerInfo {
        info(PeerId::random())
    }

    fn target() -> Key {
        Key::of(b"what is looked for")
    }

    fn search(purpose: Purpose, seeds: Vec<PeerInfo>, now: Instant) -> Search {
        Search::new(PeerId::random(), target(), purpose, seeds, now)
    }

    fn by_distance(peers: &mut [PeerInfo]) {
        peers.sort_by_key(|peer| Key::of(&peer.id.to_bytes()).distance(&target()));
    }

    /// Who is asked until the search waits or is done.
    fn ask_all(search: &mut Search, now: Instant) -> (Vec<PeerInfo>, Step) {
        let mut asked = Vec::new();
        loop {
            match search.next(now) {
                Step::Ask(server) => asked.push(server),
                step => return (asked, step),
            }
        }
    }

    /// Runs a search among honest servers of which each knows all of them; those that are `dead` do not answer.
    fn run(purpose: Purpose, servers: &[PeerInfo], dead: &[PeerId]) -> Search {
        let now = Instant::now();
        let mut search = search(purpose, servers[servers.len() - 1..].to_vec(), now);
        loop {
            let (asked, step) = ask_all(&mut search, now);
            for server in asked {
                if dead.contains(&server.id) {
                    search.failed(&server.id);
                } else {
                    search.answered(&server.id, servers[..K].to_vec());
                }
            }
            if step == Step::Done {
                return search;
            }
        }
    }

    #[tokio::test]
    async fn it_ends_once_the_closest_that_live_have_answered() {
        let mut servers = (0..60).map(|_| new_peer()).collect::<Vec<_>>();
        by_distance(&mut servers);
        let closest = run(Purpose::Closest, &servers, &[]);
        assert_eq!(closest.closest(), servers[..K]);
        assert_eq!(closest.requests, K + 1, "the first one and the k closest");
        let dead = [servers[0].id, servers[2].id];
        let value = run(Purpose::Value, &servers, &dead);
        assert!(value.requests <= ALPHA + 1 + dead.len(), "{}", value.requests);
        assert_eq!(value.closest()[..2], [servers[1].clone(), servers[3].clone()]);
        assert_eq!(value.silent(), dead);
    }

    #[tokio::test]
    async fn alpha_are_asked_at_once_and_none_twice() {
        let now = Instant::now();
        let seeds = (0..K).map(|_| new_peer()).collect::<Vec<_>>();
        let mut search = search(Purpose::Closest, seeds.clone(), now);
        let (asked, step) = ask_all(&mut search, now);
        assert_eq!((asked.len(), step), (ALPHA, Step::Wait));
        // Each names the others, itself and those that answered already.
        for server in &asked {
            search.answered(&server.id, seeds.clone());
            search.answered(&server.id, seeds.clone());
        }
        let (others, step) = ask_all(&mut search, now);
        assert_eq!((others.len(), step), (K - ALPHA, Step::Wait));
        assert!(others.iter().all(|server| !asked.contains(server)));
        for server in others {
            search.answered(&server.id, seeds.clone());
        }
        assert_eq!(search.next(now), Step::Done);
    }

    #[tokio::test]
    async fn invented_servers_cost_a_bounded_number_of_requests() {
        let now = Instant::now();
        let mut search = search(Purpose::Value, vec![new_peer()], now);
        let mut asked = 0;
        loop {
            let (servers, step) = ask_all(&mut search, now);
            asked += servers.len();
            for server in servers {
                let invented = (0..10_000 / MAX_REQUESTS).map(|_| new_peer()).collect();
                search.answered(&server.id, invented);
                // A second answer of the same server counts for nothing.
                search.answered(&server.id, vec![new_peer()]);
            }
            if step == Step::Done {
                break;
            }
        }
        assert!(asked <= MAX_REQUESTS);
        assert!(search.candidates.len() <= 1 + K * MAX_REQUESTS);
    }

    #[tokio::test]
    async fn the_time_ends_it_whatever_is_under_way() {
        let now = Instant::now();
        let mut search = search(Purpose::Value, vec![new_peer()], now);
        assert!(matches!(search.next(now), Step::Ask(_)));
        assert_eq!(search.next(search.ends() - Duration::from_millis(1)), Step::Wait);
        assert_eq!(search.next(search.ends()), Step::Done);
    }

    #[tokio::test]
    async fn own_id_names_and_peers_without_addresses_are_not_asked() {
        let now = Instant::now();
        let (seed, good) = (new_peer(), new_peer());
        let mut search = search(Purpose::Closest, vec![seed.clone()], now);
        assert_eq!(search.next(now), Step::Ask(seed.clone()));
        let named = PeerInfo { addresses: vec!["/dns4/example.org/tcp/1".parse().expect("a name")], ..new_peer() };
        let none = PeerInfo { addresses: Vec::new(), ..new_peer() };
        search.answered(&seed.id, vec![info(search.own), named, none, seed.clone(), good.clone()]);
        assert_eq!(ask_all(&mut search, now), (vec![good.clone()], Step::Wait));
        search.failed(&good.id);
        assert_eq!(search.next(now), Step::Done);
        assert_eq!((search.closest(), search.silent()), (vec![seed], vec![good.id]));
    }

    #[tokio::test]
    async fn nobody_is_silent_when_nobody_answers() {
        let now = Instant::now();
        let mut search = search(Purpose::Value, vec![new_peer(), new_peer()], now);
        for server in ask_all(&mut search, now).0 {
            search.failed(&server.id);
        }
        assert_eq!((search.next(now), search.silent()), (Step::Done, Vec::new()));
        assert_eq!(super::tests::search(Purpose::Value, Vec::new(), now).next(now), Step::Done);
    }

    #[tokio::test]
    async fn later_addresses_of_a_server_are_added() {
        let now = Instant::now();
        let (mut seeds, server) = (vec![new_peer(), new_peer()], new_peer());
        by_distance(&mut seeds);
        let mut addresses = HashMap::new();
        let mut search = search(Purpose::Value, seeds.clone(), now);
        for (index, seed) in ask_all(&mut search, now).0.iter().enumerate() {
            let address = format!("/ip4/8.8.8.{index}/tcp/1").parse().expect("a multiaddr");
            search.answered(&seed.id, vec![PeerInfo { addresses: vec![address], ..server.clone() }]);
        }
        for server in ask_all(&mut search, now).0 {
            addresses.insert(server.id, server.addresses.len());
        }
        assert_eq!(addresses, HashMap::from([(server.id, 2)]));
    }
}
