//! Looking up the addresses of peers that are known by their id alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use libp2p::{Multiaddr, PeerId};

use crate::bitswap::lock;
use crate::dial::{Asker, DialRequest};
use crate::network::Commands;

/// Look-ups under way at once, and those of them for one account.
const MAX_LOOK_UPS: usize = 8;
const MAX_LOOK_UPS_PER_ACCOUNT: usize = 4;
/// A look-up is given up after this.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(20);
/// Addresses that are taken of one look-up.
const MAX_ADDRESSES: usize = 16;

/// Finds the addresses of peers, such as by the DHT.
#[async_trait]
pub trait PeerRouting: Send + Sync {
    /// Addresses of `peer`, of which nothing is believed; none if it is not found. The future is dropped after 20 s.
    async fn find_peer(&self, peer: PeerId) -> Vec<Multiaddr>;
}

/// The look-ups of a node, in bounds.
#[derive(Clone, Default)]
pub struct PeerLookups {
    routing: Arc<OnceLock<Arc<dyn PeerRouting>>>,
    under_way: Arc<Mutex<HashMap<PeerId, Option<u128>>>>,
}

impl fmt::Debug for PeerLookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerLookups").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl PeerLookups {
    /// Look peers up by this from now on; false if they are looked up in another way already.
    pub fn set_routing(&self, routing: Arc<dyn PeerRouting>) -> bool {
        self.routing.set(routing).is_ok()
    }

    /// Have a peer looked up and dialled where it is found. While there are too many look-ups nothing happens, and it has
    /// to be asked for again.
    pub fn find_and_dial(&self, asker: Asker, peer: PeerId, commands: &Commands) {
        let (lookups, commands) = (self.clone(), commands.clone());
        if !begin(&mut lock(&self.under_way), peer, asker.account) {
            return;
        }
        tokio::spawn(async move {
            let addresses = lookups.find(peer).await;
            lock(&lookups.under_way).remove(&peer);
            // Without addresses it is told as not reached.
            commands.dial(DialRequest { asker, peer, addresses });
        });
    }

    async fn find(&self, peer: PeerId) -> Vec<Multiaddr> {
        let Some(routing) = self.routing.get() else { return Vec::new() };
        let found = tokio::time::timeout(LOOK_UP_LIMIT, routing.find_peer(peer)).await.unwrap_or_default();
        let of_peer = found.into_iter().filter_map(|address| address.with_p2p(peer).ok());
        of_peer.take(MAX_ADDRESSES).collect()
    }
}

/// Take a place for a look-up, unless the peer is being looked up or there is none.
fn begin(under_way: &mut HashMap<PeerId, Option<u128>>, peer: PeerId, account: Option<u128>) -> bool {
    let of_account = under_way.values().filter(|of| **of == account).count();
    let has_room = under_way.len() < MAX_LOOK_UPS && of_account < MAX_LOOK_UPS_PER_ACCOUNT;
    has_room && !under_way.contains_key(&peer) && under_way.insert(peer, account).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_are_bounded_and_one_account_leaves_room() {
        let (mut under_way, peer) = (HashMap::new(), PeerId::random());
        assert!(begin(&mut under_way, peer, Some(1)));
        assert!(!begin(&mut under_way, peer, Some(2)), "it is being looked up");
        let begun = (0..10).filter(|_| begin(&mut under_way, PeerId::random(), Some(1))).count();
        assert_eq!(begun, MAX_LOOK_UPS_PER_ACCOUNT - 1);
        let begun = (2..20).filter(|account| begin(&mut under_way, PeerId::random(), Some(*account))).count();
        assert_eq!(begun, MAX_LOOK_UPS - MAX_LOOK_UPS_PER_ACCOUNT);
    }
}
