//! The half of a fetch that deals with peers: who is asked for what, and what they answer.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::multihash::Multihash;
use pinrail_block_store::NodeKey;
use pinrail_domain::Phase;
use pinrail_ipfs::MAX_BLOCK_BYTES;
use tokio::time::Instant;

use super::{ASK_AGAIN, ASK_AGAIN_ANYWAY, DOUBT, FIRST_ASKED, MOST_ASKED, PROBE_INTERVAL, PROBES, Session, Want};
use crate::asking::may_ask_for_new;
use crate::bitswap::Peer;
use crate::dht::PeerInfo;
use crate::dial::{Asker, Lane};
use crate::fetch::sources::{Proof, Source};
use crate::fetch::{FetchError, Missing};

impl Session {
    /// Look at everybody who is connected already.
    pub(super) fn meet_peers(&mut self) {
        let origins = self.request.origins.borrow_and_update().clone();
        self.sources.set_origins(&origins, Instant::now());
        self.exchange.shared.known.note_origins(self.sources.origins());
        for peer in self.exchange.peers() {
            if self.sources.is_origin(&peer.id) {
                self.sources.add(&peer, Proof::Nothing);
            } else {
                self.note_unidentified(&peer);
            }
        }
        self.dial();
    }

    /// Have a provider dialled, or ask it if it is connected.
    pub(super) fn meet_provider(&mut self, provider: &PeerInfo) {
        self.sources.add_found(provider, Instant::now());
        if let Some(peer) = self.exchange.find(&provider.id) {
            self.meet(&peer);
        }
        self.dial();
    }

    pub(super) fn receive(&mut self, from: PeerId, multihash: Multihash<64>, bytes: &Bytes) -> Result<(), FetchError> {
        let Some(want) = self.wants.remove(&multihash) else { return Ok(()) };
        self.average = (self.average * 15 + bytes.len()) / 16;
        self.received += 1;
        self.idle_since = Instant::now();
        self.counted.get_or_insert_with(|| self.exchange.count_fetch());
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
            self.sources.add(&peer, Proof::Gave);
            self.sources.get_mut(&from).expect("it was just added").silent = false;
        }
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(FetchError::BlockTooLarge { cid: want.keys[0].to_string(), size: bytes.len() });
        }
        for key in want.keys {
            self.store_block(key, bytes.clone())?;
        }
        Ok(())
    }

    pub(super) fn heard_have(&mut self, from: PeerId, multihash: &Multihash<64>) {
        self.unanswered.remove(&(from, *multihash));
        let Some(peer) = self.exchange.find(&from) else { return };
        // One that did not keep its word is tried as one that gave none.
        self.sources.add(&peer, if peer.has_let_down() { Proof::Nothing } else { Proof::Said });
        if let Some(want) = self.wants.get_mut(multihash) {
            want.refused.remove(&from);
        }
    }

    pub(super) fn heard_dont_have(&mut self, from: PeerId, multihash: &Multihash<64>) {
        self.unanswered.remove(&(from, *multihash));
        let Some(want) = self.wants.get_mut(multihash) else { return };
        want.refused.insert(from);
        if let Some(index) = want.asked.iter().position(|(peer, _)| *peer == from) {
            want.asked.swap_remove(index);
            if let Some(source) = self.sources.get_mut(&from) {
                source.in_flight -= 1;
                source.silent = false;
                source.refused = true;
                source.peer.want_settled();
            }
            if want.asked.is_empty() {
                self.unasked.push_front(*multihash);
            }
        }
    }

    pub(super) fn meet(&mut self, peer: &Arc<Peer>) {
        if self.sources.is_origin(&peer.id) {
            self.sources.add(peer, Proof::Nothing);
            self.ask_first(peer);
        } else if self.may_ask(peer) {
            self.probe(peer);
        } else {
            self.note_unidentified(peer);
        }
    }

    /// A peer that could not be asked when it connected said what it speaks.
    pub(super) fn identified(&mut self, peer: &Arc<Peer>) {
        if self.unidentified.remove(&peer.id) && self.may_ask(peer) {
            self.probe(peer);
        }
    }

    fn note_unidentified(&mut self, peer: &Peer) {
        if self.ask_strangers && !self.may_ask(peer) && !peer.lacks_bitswap() {
            self.unidentified.insert(peer.id);
        }
    }

    /// Whether a peer that was not named may learn what is wanted: strangers learn of new roots only.
    fn may_ask(&self, peer: &Peer) -> bool {
        self.ask_strangers && may_ask_for_new(peer) || self.exchange.shared.known.contains(&peer.id)
    }

    /// While nobody has proven to have anything, ask the new origin for all that the others were asked for. Those that let
    /// others down before keep it from nothing.
    pub(super) fn ask_first(&mut self, peer: &Arc<Peer>) {
        if self.received > 0 {
            return;
        }
        for want in self.wants.values_mut().filter(|want| want.asked.len() < MOST_ASKED) {
            let reliable = |peer| self.sources.get(peer).is_some_and(|source| !source.peer.has_let_down());
            let enough = want.asked.iter().filter(|(peer, _)| reliable(peer)).count() >= FIRST_ASKED;
            let source = self.sources.get_mut(&peer.id).expect("it was just added");
            if !enough && !want.asked.is_empty() && peer.want_block(want.keys[0].to_cid()) {
                want.asked.push((peer.id, Instant::now()));
                source.in_flight += 1;
            }
        }
    }

    pub(super) fn lose(&mut self, peer: &PeerId) {
        self.sources.remove(peer, Instant::now());
        self.probed.remove(peer);
        self.unidentified.remove(peer);
        self.unanswered.retain(|(asked, _)| asked != peer);
        for (multihash, want) in &mut self.wants {
            let before = want.asked.len();
            want.asked.retain(|(asked, _)| asked != peer);
            if want.asked.is_empty() && before > 0 {
                self.unasked.push_front(*multihash);
            }
        }
        self.dial();
    }

    pub(super) fn dial(&mut self) {
        for (peer, addresses) in self.sources.due_dials(Instant::now()) {
            let asker = Asker { lane: Lane::Fetch, account: self.request.account, root: Some(self.request.root) };
            self.dialer.dial(asker, peer, addresses);
        }
    }

    /// Ask peers for the wants that nobody is asked for.
    pub(super) fn ask(&mut self) {
        self.busy = false;
        let at_once = self.asked_at_once();
        let mut left = VecDeque::new();
        while let Some(multihash) = self.unasked.pop_front() {
            let Some(want) = self.wants.get_mut(&multihash) else { continue };
            let wanted = at_once + want.extra;
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

    pub(super) fn look_at_the_clock(&mut self) -> Result<(), FetchError> {
        let now = Instant::now();
        if now - self.idle_since > self.request.no_source_timeout {
            self.counted = None;
        }
        self.ask_again(now);
        self.dial();
        let again = now - self.last_probe > PROBE_INTERVAL;
        if again {
            self.last_probe = now;
            self.exchange.shared.known.note_origins(self.sources.origins());
        }
        if again || self.probed.is_empty() {
            self.probe_all(again);
        }
        if self.is_sourced(now) {
            self.last_sourced = now;
        } else {
            self.finding.look_up(self.missing_block().multihash, now);
        }
        if now - self.last_sourced > self.request.no_source_timeout {
            return Err(self.not_provided());
        }
        let waits = !self.wants.is_empty() && self.uncommitted.is_empty();
        if waits && now - self.idle_since > self.request.stall_timeout {
            let seconds = self.request.stall_timeout.as_secs();
            return Err(FetchError::Stalled { seconds, received: self.received, missing: self.missing() });
        }
        Ok(())
    }

    /// Whether nobody is left to ask: no want is with a peer, no named origin is being dialled, and whoever is connected
    /// has answered.
    pub(super) fn is_refused_by_all(&self) -> bool {
        let Some(limit) = self.request.answer_timeout else { return false };
        let nobody_is_asked = !self.busy && self.wants.values().all(|want| want.asked.is_empty());
        !self.wants.is_empty()
            && self.uncommitted.is_empty()
            && nobody_is_asked
            && (self.unanswered.is_empty() && self.unidentified.is_empty() || self.idle_since.elapsed() > limit)
            && !self.sources.awaits_contact()
            && !self.finding.is_awaited(&self.missing_block().multihash, Instant::now())
    }

    pub(super) fn not_provided(&self) -> FetchError {
        let (unreached, mut tried) = self.sources.describe(self.probed.keys(), &self.dialer);
        let phase = if unreached && self.probed.is_empty() { Phase::Connecting } else { Phase::Finding };
        if let Some(found) = self.sources.describe_found().or_else(|| self.finding.describe()) {
            tried = format!("{tried}, {found}");
        }
        FetchError::NotProvided { phase, tried, missing: Box::new(self.missing()) }
    }

    /// What is asked for and did not come. Of the same blocks it names the same one in each attempt.
    fn missing(&self) -> Missing {
        let block = self.missing_block();
        let first = self.wants.get(&block.multihash);
        let cid = block.to_cid();
        let probed = self.probed.iter().filter(|(_, cids)| cids.contains(&cid)).map(|(peer, _)| peer);
        let asked = first.into_iter().flat_map(|want| {
            let asked = want.asked.iter().map(|(peer, _)| peer);
            asked.chain(&want.refused).chain(&want.late)
        });
        let peers = probed.chain(asked).collect::<HashSet<_>>().len();
        let count = |count| u64::try_from(count).unwrap_or(u64::MAX);
        Missing { block, more: count(self.wants.len()).saturating_sub(1), peers: count(peers) }
    }

    /// One of the blocks that are asked for, of the same blocks the same one; else the root.
    fn missing_block(&self) -> NodeKey {
        self.wants.values().map(|want| want.keys[0]).min().unwrap_or(self.request.root)
    }

    /// Whether somebody who has proven to have blocks is asked or can be asked, or nothing is to be asked for.
    pub(super) fn is_sourced(&self, now: Instant) -> bool {
        let hears = |peer: &PeerId| {
            self.sources.get(peer).is_some_and(|source| {
                source.is_credible() || now.duration_since(source.peer.heard_at()) < ASK_AGAIN && source.in_flight > 0
            })
        };
        let can_ask = |want: &Want| {
            self.sources.iter().any(|source| source.is_credible() && !want.refused.contains(&source.peer.id))
        };
        self.wants.is_empty()
            || !self.uncommitted.is_empty()
            || self.wants.values().any(|want| want.asked.iter().any(|(peer, _)| hears(peer)) || can_ask(want))
    }

    /// Take back wants that were met with silence; the next [`Self::ask`] gives them to somebody.
    pub(super) fn ask_again(&mut self, now: Instant) {
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
                if source.proof == Proof::Said {
                    source.peer.note_let_down(true);
                }
                source.in_flight -= 1;
                source.peer.want_settled();
                source.peer.cancel(cid);
                want.late.push(*peer);
                want.extra = 0;
                false
            });
            if want.asked.is_empty() && before > 0 {
                self.unasked.push_back(*multihash);
            }
        }
        self.ask_beside_doubtful(now);
    }

    /// How many peers are asked for one block: several until it is known who sends any.
    fn asked_at_once(&self) -> usize {
        if self.received == 0 { FIRST_ASKED } else { 1 }
    }

    /// Ask others too for what was only asked of peers that sent nothing so far, and some more each time: others that said
    /// that they have it, and origins.
    fn ask_beside_doubtful(&mut self, now: Instant) {
        for (multihash, want) in &mut self.wants {
            let other = |source: &Source| {
                (source.proof > Proof::Nothing || self.sources.is_origin(&source.peer.id))
                    && !want.refused.contains(&source.peer.id)
                    && !want.is_asked(&source.peer.id)
            };
            let doubtful = |(peer, since): &(PeerId, Instant)| {
                now - *since > DOUBT && self.sources.get(peer).is_none_or(|source| source.proof < Proof::Gave)
            };
            let in_doubt = !want.asked.is_empty() && want.asked.iter().all(doubtful);
            if in_doubt && want.asked.len() < MOST_ASKED && self.sources.iter().any(other) {
                want.extra = want.asked.len();
                self.unasked.push_back(*multihash);
            }
        }
    }

    /// Ask every connected peer; `again` also those that did not have it, which may have it by now.
    pub(super) fn probe_all(&mut self, again: bool) {
        if self.sources.iter().any(|source| source.proof > Proof::Nothing) && self.unasked.is_empty() {
            return;
        }
        if again {
            self.wants.values_mut().for_each(|want| want.refused.clear());
        }
        for peer in self.exchange.peers() {
            if self.sources.get(&peer.id).is_none() && self.may_ask(&peer) {
                self.probe(&peer);
            }
        }
    }

    /// Ask a peer whether it has some of what is missing.
    pub(super) fn probe(&mut self, peer: &Arc<Peer>) {
        let missing = self.unasked.iter().chain(self.wants.keys()).take(PROBES);
        let asked = self.probed.entry(peer.id).or_default();
        for multihash in missing {
            let Some(want) = self.wants.get(multihash) else { continue };
            let cid = want.keys[0].to_cid();
            asked.insert(cid);
            self.unanswered.insert((peer.id, *multihash));
            peer.want_have(cid);
        }
    }
}
