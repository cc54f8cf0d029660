//! Streams of a connection written by hand, for peers that give credit as no library does.

use std::io;
use std::net::Ipv4Addr;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::core::upgrade::OutboundConnectionUpgrade;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, noise, tcp};
use tokio::net::TcpSocket;

use crate::script::varint;

/// A secured connection, on which both sides have settled on yamux.
pub type Socket = noise::Output<tcp::tokio::TcpStream>;

/// Connect from an address, as a peer that nobody has seen.
pub async fn connect(from: Ipv4Addr, to: &Multiaddr) -> io::Result<Socket> {
    let port = to.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None });
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut socket =
        tcp::tokio::TcpStream(socket.connect((Ipv4Addr::LOCALHOST, port.unwrap_or_default()).into()).await?);
    negotiate(&mut socket, "/noise").await?;
    let noise = noise::Config::new(&Keypair::generate_ed25519()).map_err(io::Error::other)?;
    let (_, mut secured) = noise.upgrade_outbound(socket, "/noise").await.map_err(io::Error::other)?;
    negotiate(&mut secured, "/yamux/1.0.0").await?;
    Ok(secured)
}

/// Propose a protocol, and wait until it is taken.
async fn negotiate(socket: &mut (impl AsyncRead + AsyncWrite + Unpin), protocol: &str) -> io::Result<()> {
    let line = |text: &str| [varint(text.len() + 1), text.as_bytes().to_vec(), b"\n".to_vec()].concat();
    let proposal = [line("/multistream/1.0.0"), line(protocol)].concat();
    socket.write_all(&proposal).await?;
    socket.flush().await?;
    let mut answer = vec![0; proposal.len()];
    socket.read_exact(&mut answer).await?;
    if answer == proposal { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const NONE: u8 = 0;
const SYN: u8 = 1;
const ACK: u8 = 2;

/// A frame as it is read.
pub struct Frame {
    kind: u8,
    flags: u8,
    pub stream: u32,
    /// Bytes of data, credit, or the number of a ping.
    value: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Read the next one.
    pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut header = [0; 12];
        socket.read_exact(&mut header).await?;
        let [_, kind, _, flags, s0, s1, s2, s3, v0, v1, v2, v3] = header;
        let (stream, value) = (u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([v0, v1, v2, v3]));
        let mut payload = vec![0; if kind == DATA { value as usize } else { 0 }];
        socket.read_exact(&mut payload).await?;
        Ok(Self { kind, flags, stream, value, payload })
    }

    /// Whether it asks for a pong.
    pub fn is_ping(&self) -> bool {
        self.kind == PING && self.flags == SYN
    }

    /// The answer to a ping.
    pub fn pong(ping: &Self) -> Vec<u8> {
        header(PING, ACK, 0, ping.value)
    }

    /// The first data of a stream of ours.
    pub fn opening(stream: u32, data: &[u8]) -> Vec<u8> {
        [header(DATA, SYN, stream, length(data)), data.to_vec()].concat()
    }

    /// The first data of a stream of the node's.
    pub fn accepting(stream: u32, data: &[u8]) -> Vec<u8> {
        [header(DATA, ACK, stream, length(data)), data.to_vec()].concat()
    }

    /// Leave for so many more bytes.
    pub fn credit(stream: u32, bytes: u32) -> Vec<u8> {
        header(WINDOW_UPDATE, NONE, stream, bytes)
    }
}

fn header(kind: u8, flags: u8, stream: u32, value: u32) -> Vec<u8> {
    [&[0, kind, 0, flags][..], &stream.to_be_bytes(), &value.to_be_bytes()].concat()
}

fn length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX)
}
