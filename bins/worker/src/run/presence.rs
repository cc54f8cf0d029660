//! The node's sign of life: registered when the worker starts, heard of from then on. With each it learns of its
//! fellows.

use std::time::Duration;

use pinrail_domain::{Node, Phase, chain};
use pinrail_ipfs::{IpfsBackend, IpfsError};
use pinrail_spec::{Multiaddr, Timestamp};
use pinrail_storage::{NodeRegistration, StorageError};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Worker;

/// How often a worker gives a sign of life; it counts as silent after five minutes.
const BEAT_EVERY: Duration = Duration::from_secs(20);

/// What was last said of the node.
#[derive(Debug, Default)]
pub struct Presence {
    registered: watch::Sender<bool>,
    addresses: Vec<Multiaddr>,
    heard: Option<Instant>,
}

impl Worker {
    /// Turns true once the addresses that the node has since this start are registered.
    pub fn registered(&self) -> watch::Receiver<bool> {
        self.presence.registered.subscribe()
    }

    /// Register the node after a start; then say when it has moved, or give a sign of life when one is due. Each time
    /// the node is told of its fellows, so that it asks them first.
    pub(super) async fn be_present(&mut self, now: Timestamp) -> Result<(), StorageError> {
        if self.presence.heard.is_some_and(|heard| heard.elapsed() < BEAT_EVERY) {
            return Ok(());
        }
        match describe(&*self.backend).await {
            Ok((peer_id, addresses)) => {
                self.say(peer_id, addresses, now).await?;
                let nodes = self.storage.list_nodes().await?;
                self.backend.set_fellows(&Node::fellows(&nodes, self.node, now)).await;
            }
            Err(problem) => warn!(problem = chain(&problem), "the node gives no sign of life"),
        }
        self.presence.heard = Some(Instant::now());
        Ok(())
    }

    async fn say(&mut self, peer_id: String, addresses: Vec<Multiaddr>, now: Timestamp) -> Result<(), StorageError> {
        let is_registered = *self.presence.registered.borrow();
        let told = match (is_registered, addresses == self.presence.addresses) {
            (false, _) => Err(StorageError::Missing("the node".to_owned())),
            (true, false) => self.storage.set_addresses(&self.node, &addresses, now).await,
            (true, true) => self.storage.beat(&self.node, now).await,
        };
        match told {
            Err(StorageError::Missing(_)) => self.register(peer_id, addresses.clone(), now).await?,
            told => told?,
        }
        self.presence.addresses = addresses;
        Ok(())
    }

    async fn register(
        &mut self,
        peer_id: String,
        addresses: Vec<Multiaddr>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let registration = NodeRegistration { id: self.node, backend: self.kind, peer_id, addresses };
        self.storage.register_node(&registration, now).await?;
        let addresses = registration.addresses.iter().map(Multiaddr::as_str).collect::<Vec<_>>();
        info!(node = %self.node, peer = registration.peer_id, ?addresses, "registered");
        self.presence.registered.send_replace(true);
        Ok(())
    }
}

/// The node's peer id and where it can be dialled.
async fn describe(backend: &dyn IpfsBackend) -> Result<(String, Vec<Multiaddr>), IpfsError> {
    let addresses = backend.delegates().await?;
    if addresses.is_empty() {
        return Err(IpfsError::unavailable(Phase::Connecting, "it has no address where it can be dialled"));
    }
    Ok((backend.peer_id().await?, addresses))
}
