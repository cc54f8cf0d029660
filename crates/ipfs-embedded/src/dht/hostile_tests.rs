//! Look-ups among servers that lie, invent others or send junk: each costs a bounded amount, and the honest one is heard.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{AsyncWriteExt, StreamExt};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, ReadyUpgrade};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, Stream,
    SubstreamProtocol, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};

use super::search;
use super::table::LAN;
use super::tests::{Servers, TestNode, find_providers, key, listen, provider, swarm};
use super::wire::{Answer, PeerInfo, encode_answer};
use crate::bitswap::wire::{length_prefix, read_body, read_length};
use crate::routing::DhtMode;

/// What a server does about a request.
pub enum Reply {
    /// Sends this as the body of an answer.
    Answer(Vec<u8>),
    /// Waits for the next request.
    Nothing,
    /// Closes the stream.
    End,
}

/// What a server does about the body of each request.
type Script = Arc<dyn Fn(&[u8]) -> Reply + Send + Sync>;

/// Answers each request with what the script says.
struct Scripted(Script);

impl NetworkBehaviour for Scripted {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler(self.0.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler(self.0.clone()))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, Infallible>> {
        Poll::Pending
    }
}

struct Handler(Script);

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<ReadyUpgrade<StreamProtocol>> {
        SubstreamProtocol::new(ReadyUpgrade::new(LAN), ())
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Infallible>> {
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<ReadyUpgrade<StreamProtocol>, DeniedUpgrade>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. }) = event {
            let script = self.0.clone();
            // Whoever asked may have read enough.
            tokio::spawn(async move { drop(answer(stream, &script).await) });
        }
    }
}

async fn answer(mut stream: Stream, script: &Script) -> std::io::Result<()> {
    while let Some(length) = read_length(&mut stream, Duration::from_mins(1)).await? {
        let request = read_body(&mut stream, length, |_| ()).await?;
        match script(&request) {
            Reply::Answer(body) => {
                stream.write_all(&[length_prefix(body.len()), body].concat()).await?;
                stream.flush().await?;
            }
            Reply::Nothing => {}
            Reply::End => break,
        }
    }
    stream.close().await
}

/// A server that answers each request with what the script makes.
async fn answering(script: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> PeerInfo {
    scripted(move |_| Reply::Answer(script())).await
}

/// A server with this script, which runs until the test ends.
pub async fn scripted(script: impl Fn(&[u8]) -> Reply + Send + Sync + 'static) -> PeerInfo {
    let mut server = swarm(|_| Scripted(Arc::new(script)));
    let info = listen(&mut server).await;
    tokio::spawn(async move {
        loop {
            server.select_next_some().await;
        }
    });
    info
}

/// A peer that nobody can reach.
fn invented() -> PeerInfo {
    provider(&["/ip4/127.0.0.1/tcp/1"])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_honest_server_is_heard_among_those_that_send_junk() {
    let mut honest = Servers::new(1).await;
    let (key, true_provider) = (key(b"wanted"), provider(&["/ip4/8.8.8.8/tcp/1"]));
    honest.provide(&key, &true_provider);
    let many = Answer { closer: Vec::new(), providers: vec![provider(&["/ip4/8.8.8.8/tcp/2"]); 60_000] };
    let many = encode_answer(&many);
    let hostile = [
        answering(|| vec![0xff; 100]).await,
        answering(|| vec![0; 5 << 20]).await,
        answering(|| [0x0a, 0].repeat(1 << 20)).await,
        answering(move || many[..4 << 20].to_vec()).await,
        answering(Vec::new).await,
    ];
    let bootstrap = hostile.iter().flat_map(PeerInfo::full_addresses).chain(honest.run()).collect::<Vec<_>>();
    let node = TestNode::start(DhtMode::Client, &bootstrap).await;
    assert_eq!(find_providers(node.dht(), &key).await, [true_provider]);
}

#[tokio::test(flavor = "multi_thread")]
async fn false_providers_do_not_keep_the_true_one_from_being_heard() {
    let mut honest = Servers::new(1).await;
    let (key, true_provider) = (key(b"wanted"), provider(&["/ip4/8.8.8.8/tcp/1"]));
    honest.provide(&key, &true_provider);
    let lies = || encode_answer(&Answer { closer: Vec::new(), providers: (0..900).map(|_| invented()).collect() });
    let liars = [answering(lies).await, answering(lies).await];
    let bootstrap = liars.iter().flat_map(PeerInfo::full_addresses).chain(honest.run()).collect::<Vec<_>>();
    let node = TestNode::start(DhtMode::Client, &bootstrap).await;
    let found = find_providers(node.dht(), &key).await;
    assert!(found.contains(&true_provider));
    assert!(found.len() <= 41, "{}", found.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_servers_are_asked_for_a_while_only() {
    let asked = Arc::new(AtomicUsize::new(0));
    let inventing = {
        let asked = asked.clone();
        answering(move || {
            asked.fetch_add(1, Ordering::Relaxed);
            let closer = (0..search::K).map(|_| invented()).collect();
            encode_answer(&Answer { closer, providers: Vec::new() })
        })
        .await
    };
    let node = TestNode::start(DhtMode::Client, &inventing.full_addresses()).await;
    assert_eq!(find_providers(node.dht(), &key(b"wanted")).await, []);
    assert!(asked.load(Ordering::Relaxed) >= 1);
}
