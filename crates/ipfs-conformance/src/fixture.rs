//! What an adapter brings to the checks.

use std::any::Any;

use async_trait::async_trait;
use pinrail_ipfs::IpfsBackend;
use pinrail_spec::Multiaddr;

use crate::dag::Dag;

/// A peer of the backend, to have DAGs and to connect.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Have these blocks and serve them. They need not be a whole DAG, nor well-formed.
    async fn provide(&self, dag: &Dag);

    /// Where the backend can dial it, each ending in `/p2p/<peer id>`.
    async fn addresses(&self) -> Vec<Multiaddr>;

    /// Dial the backend at one of its delegates.
    async fn connect(&self, delegates: &[Multiaddr]);
}

/// A backend that holds nothing, and a peer that has nothing and is not connected to it.
pub struct Fixture {
    /// What is checked.
    pub backend: Box<dyn IpfsBackend>,
    /// Who it fetches from.
    pub provider: Box<dyn Provider>,
    /// Whatever has to live as long, such as temporary folders.
    pub held: Box<dyn Any + Send + Sync>,
}
