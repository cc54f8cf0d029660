//! What other parts of a node have its network do.

use libp2p::PeerId;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::dht::TableCommand;
use crate::dial::DialRequest;

/// Something for the network to do.
#[derive(Debug)]
pub enum Command {
    /// Dial a peer, unless it is connected.
    Dial(DialRequest),
    /// The same, and reply once it is connected or no dial of it is left.
    Connect(DialRequest, oneshot::Sender<Result<(), NotReached>>),
    /// Close all connections with a peer.
    Disconnect(PeerId),
    /// Look at the routing table of the DHT, or change it.
    Table(TableCommand),
}

/// None of the addresses of a peer answered as that peer, or none may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the peer was not reached")]
pub struct NotReached;

/// Sends commands to the network, which takes them in the order of their sending.
#[derive(Debug, Clone)]
pub struct Commands(mpsc::UnboundedSender<Command>);

/// A sender of commands, and what it sends.
pub fn commands() -> (Commands, mpsc::UnboundedReceiver<Command>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Commands(sender), receiver)
}

impl Commands {
    /// Have a peer dialled soon, unless it is connected.
    pub fn dial(&self, request: DialRequest) {
        self.send(Command::Dial(request));
    }

    /// Have a peer dialled soon, and wait until it is connected or was not reached. Dropping the future leaves the dial
    /// as it is.
    pub async fn connect(&self, request: DialRequest) -> Result<(), NotReached> {
        let (reply, reached) = oneshot::channel();
        self.send(Command::Connect(request, reply));
        reached.await.unwrap_or(Err(NotReached))
    }

    /// Have all connections with a peer closed.
    pub fn disconnect(&self, peer: PeerId) {
        self.send(Command::Disconnect(peer));
    }

    /// Have something done with the routing table of the DHT; without a DHT it is left undone.
    pub fn table(&self, command: TableCommand) {
        self.send(Command::Table(command));
    }

    fn send(&self, command: Command) {
        // The network ends only with the node.
        let _ended = self.0.send(command);
    }
}
