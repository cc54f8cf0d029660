//! A peer that follows a script: it opens and accepts bare bitswap streams and says what it is told to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use cid::Cid;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::Transport;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{ReadyUpgrade, Version};
use libp2p::core::{Endpoint, multiaddr::Protocol};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, Stream,
    SubstreamProtocol, SwarmEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, noise, yamux};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::dials_from::DialsFrom;
use crate::support::Block;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/bitswap/1.2.0");

type Opens = Arc<Mutex<mpsc::UnboundedReceiver<oneshot::Sender<Stream>>>>;

/// A peer under the test's control. It vanishes when dropped.
pub struct Script {
    pub address: Multiaddr,
    accepted: AsyncMutex<mpsc::UnboundedReceiver<Stream>>,
    opens: mpsc::UnboundedSender<oneshot::Sender<Stream>>,
    dials: mpsc::UnboundedSender<Multiaddr>,
    closed: AsyncMutex<mpsc::UnboundedReceiver<()>>,
    task: JoinHandle<()>,
}

impl Script {
    pub async fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST).await
    }

    /// A peer that listens at this address and dials from it, which tells whether it is of the same network as another.
    pub async fn start_at(ip: Ipv4Addr) -> Self {
        let (inbound, accepted) = mpsc::unbounded_channel();
        let (opens, requests) = mpsc::unbounded_channel();
        let (dials, mut dialled) = mpsc::unbounded_channel::<Multiaddr>();
        let (ended, closed) = mpsc::unbounded_channel();
        let behaviour = Bare { inbound, opens: Arc::new(Mutex::new(requests)) };
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_other_transport(|keypair| {
                let noise = noise::Config::new(keypair).expect("a key");
                DialsFrom::new(ip).upgrade(Version::V1).authenticate(noise).multiplex(many_streams())
            })
            .expect("a transport")
            .with_behaviour(|_| behaviour)
            .expect("a behaviour")
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_mins(10)))
            .build();
        let peer_id = *swarm.local_peer_id();
        swarm.listen_on(Multiaddr::empty().with(Protocol::Ip4(ip)).with(Protocol::Tcp(0))).expect("it listens");
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address.with(Protocol::P2p(peer_id));
            }
        };
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => if is_end(&event) {
                        let _nobody_waits = ended.send(());
                    },
                    Some(address) = dialled.recv() => swarm.dial(address).expect("it can be dialled"),
                }
            }
        });
        Self { address, accepted: AsyncMutex::new(accepted), opens, dials, closed: AsyncMutex::new(closed), task }
    }

    pub fn peer_id(&self) -> PeerId {
        match self.address.iter().last() {
            Some(Protocol::P2p(peer)) => peer,
            _ => unreachable!("the address ends in it"),
        }
    }

    pub fn dial(&self, address: Multiaddr) {
        self.dials.send(address).expect("it runs");
    }

    /// The next stream that the node opens.
    pub async fn accept(&self) -> Stream {
        self.accepted.lock().await.recv().await.expect("it runs")
    }

    /// All that the node says from now on, over any stream.
    pub fn listen(self) -> (Arc<Self>, mpsc::UnboundedReceiver<Vec<u8>>) {
        let (said, heard) = mpsc::unbounded_channel();
        let peer = Arc::new(self);
        let weak = Arc::downgrade(&peer);
        tokio::spawn(async move {
            while let Some(mut stream) = next_stream(&weak).await {
                let said = said.clone();
                tokio::spawn(async move {
                    while let Ok(message) = read_message(&mut stream).await {
                        let _nobody_listens = said.send(message);
                    }
                });
            }
        });
        (peer, heard)
    }

    /// A new stream to the node.
    pub async fn open(&self) -> Stream {
        self.try_open().await.expect("a stream")
    }

    /// The same; `None` when the connection ends meanwhile.
    pub async fn try_open(&self) -> Option<Stream> {
        let (reply, stream) = oneshot::channel();
        self.opens.send(reply).expect("it runs");
        stream.await.ok()
    }

    /// Ask the node for a block over `stream`, and wait until it comes, whatever else the node says meanwhile.
    pub async fn get(&self, stream: &mut Stream, (cid, bytes): &Block) {
        self.while_connected(async {
            write_message(stream, &wants(&[*cid])).await.expect("it is sent");
            loop {
                let said = read_message(&mut self.accept().await).await.expect("an answer");
                if said.windows(bytes.len()).any(|window| window == &bytes[..]) {
                    return;
                }
            }
        })
        .await;
    }

    /// Do something for which the node has to stay connected.
    pub async fn while_connected(&self, doing: impl Future<Output = ()>) {
        tokio::select! {
            () = doing => {}
            () = self.wait_closed() => panic!("the node closed the connection"),
        }
    }

    /// Until the node closes the connection, or refuses it.
    pub async fn wait_closed(&self) {
        self.closed.lock().await.recv().await.expect("it runs");
    }
}

fn is_end(event: &SwarmEvent<Infallible>) -> bool {
    matches!(event, SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. })
}

/// The next stream, without keeping the peer.
async fn next_stream(peer: &Weak<Script>) -> Option<Stream> {
    loop {
        let accepted = peer.upgrade()?.accepted.try_lock().ok()?.try_recv();
        match accepted {
            Ok(stream) => return Some(stream),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Yamux for as many streams as a test may open.
pub fn many_streams() -> yamux::Config {
    let mut streams = yamux::Config::default();
    streams.set_max_num_streams(4_000);
    streams
}

/// Read one message, whatever it says.
pub async fn read_message(stream: &mut Stream) -> std::io::Result<Vec<u8>> {
    let mut length = 0;
    for index in 0.. {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << (7 * index);
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Write one message with its length before it.
pub async fn write_message(stream: &mut Stream, message: &[u8]) -> std::io::Result<()> {
    let mut frame = varint(message.len());
    frame.extend(message);
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// A message with these blocks, under the CIDs that they claim.
pub fn blocks(blocks: &[Block]) -> Vec<u8> {
    let mut message = Vec::new();
    for (cid, bytes) in blocks {
        let mut prefix = vec![1];
        for part in [cid.codec(), cid.hash().code(), cid.hash().size().into()] {
            prefix.extend(varint(usize::try_from(part).expect("small")));
        }
        let mut fields = field(0x0a, &prefix);
        fields.extend(field(0x12, bytes));
        message.extend(field(0x1a, &fields));
    }
    message
}

/// A message that says of these blocks that the sender has them.
pub fn haves(cids: &[Cid]) -> Vec<u8> {
    cids.iter().flat_map(|cid| field(0x22, &field(0x0a, &cid.to_bytes()))).collect()
}

/// A wantlist that takes wants back.
pub fn cancels(cids: &[Cid]) -> Vec<u8> {
    let list = cids.iter().flat_map(|cid| {
        let mut entry = field(0x0a, &cid.to_bytes());
        entry.extend([0x18, 1]);
        field(0x0a, &entry)
    });
    field(0x0a, &list.collect::<Vec<_>>())
}

/// A wantlist that asks for blocks.
pub fn wants(cids: &[Cid]) -> Vec<u8> {
    let list = cids.iter().flat_map(|cid| {
        let mut entry = field(0x0a, &cid.to_bytes());
        entry.extend([0x10, 1, 0x28, 1]);
        field(0x0a, &entry)
    });
    field(0x0a, &list.collect::<Vec<_>>())
}

pub fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).expect("seven bits"));
    bytes
}

/// A field of a protobuf message that has a length.
pub fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(varint(bytes.len()));
    out.extend(bytes);
    out
}

/// A behaviour that hands out bare streams.
struct Bare {
    inbound: mpsc::UnboundedSender<Stream>,
    opens: Opens,
}

impl NetworkBehaviour for Bare {
    type ConnectionHandler = BareHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<BareHandler, ConnectionDenied> {
        Ok(BareHandler { inbound: self.inbound.clone(), opens: self.opens.clone(), opening: VecDeque::new() })
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<BareHandler, ConnectionDenied> {
        Ok(BareHandler { inbound: self.inbound.clone(), opens: self.opens.clone(), opening: VecDeque::new() })
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, Infallible>> {
        Poll::Pending
    }
}

struct BareHandler {
    inbound: mpsc::UnboundedSender<Stream>,
    opens: Opens,
    opening: VecDeque<oneshot::Sender<Stream>>,
}

impl ConnectionHandler for BareHandler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Infallible>> {
        let request = self.opens.lock().expect("not poisoned").poll_recv(cx);
        let Poll::Ready(Some(reply)) = request else { return Poll::Pending };
        self.opening.push_back(reply);
        let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ());
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                let _nobody_accepts = self.inbound.send(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => {
                if let Some(reply) = self.opening.pop_front() {
                    let _nobody_waits = reply.send(protocol);
                }
            }
            _ => {}
        }
    }
}
