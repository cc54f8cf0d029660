//! The nodes of fellow workers: kept connected, and asked before anybody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::bitswap::Exchange;
use crate::dial::{Asker, Dialer};
use crate::known_peers::KnownPeers;
use crate::redial::Backoff;

/// How often it is looked at whether they are connected.
const TICK: Duration = Duration::from_secs(1);

/// Fellows and their addresses.
pub type Addresses = HashMap<PeerId, Vec<Multiaddr>>;

/// Who the fellows are.
pub struct Fellows {
    addresses: watch::Sender<Arc<Addresses>>,
    known: Arc<KnownPeers>,
}

impl Fellows {
    /// None yet, and the task that keeps them connected.
    pub fn start(exchange: &Arc<Exchange>, dialer: &Dialer) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = watch::channel(Arc::default());
        let fellows = Self { addresses: sender, known: exchange.shared.known.clone() };
        (fellows, tokio::spawn(keep_connected(receiver, exchange.clone(), dialer.clone())))
    }

    /// These are the fellows from now on, `own` aside; addresses that do not end in `/p2p/<peer id>` are left out.
    pub fn set(&self, own: PeerId, addresses: Vec<Multiaddr>) {
        let mut fellows = Addresses::new();
        for address in addresses {
            if let Some(Protocol::P2p(peer)) = address.iter().last().filter(|last| *last != Protocol::P2p(own)) {
                fellows.entry(peer).or_default().push(address);
            }
        }
        self.known.set_siblings(fellows.keys().copied());
        self.addresses.send_if_modified(|known| {
            let changed = **known != fellows;
            if changed {
                *known = Arc::new(fellows);
            }
            changed
        });
    }

    /// Who they are now.
    pub fn get(&self) -> Arc<Addresses> {
        self.addresses.borrow().clone()
    }
}

/// Dial those who are not connected, each less and less often.
async fn keep_connected(mut fellows: watch::Receiver<Arc<Addresses>>, exchange: Arc<Exchange>, dialer: Dialer) {
    let mut waits: HashMap<PeerId, Backoff> = HashMap::new();
    loop {
        let known = fellows.borrow_and_update().clone();
        let now = Instant::now();
        waits.retain(|peer, _| known.contains_key(peer) && exchange.find(peer).is_none());
        for (peer, addresses) in known.iter().filter(|(peer, _)| exchange.find(peer).is_none()) {
            let wait = waits.entry(*peer).or_insert_with(|| Backoff::of_named(now));
            if wait.is_due(now) {
                wait.note_attempt(now);
                dialer.dial(Asker::default(), *peer, addresses.clone());
            }
        }
        tokio::select! {
            changed = fellows.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(TICK), if !known.is_empty() => {}
        }
    }
}
