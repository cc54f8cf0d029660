//! One question to one server: connect to it, open a stream, send the question, read the answer, all in time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncRead, AsyncWriteExt};
use libp2p::swarm::Stream;
use tokio::sync::Semaphore;

use super::streams::Streams;
use super::wire::{Answer, PeerInfo};
use crate::bitswap::wire::{read_body, read_length};
use crate::dial::{Asker, DialRequest, Dialer, Lane};

/// Connecting and answering may take this long together.
const LIMIT: Duration = Duration::from_secs(10);
/// An honest answer is smaller than this: 26 to 43 KiB where a key has many providers.
const LARGE_ANSWER_BYTES: usize = 64 << 10;
/// Larger answers share this much memory.
const LARGE_ANSWERS_BYTES: usize = 16 << 20;

const LOOK_UP: Asker = Asker { lane: Lane::LookUp, account: None, root: None };

/// Asks servers.
#[derive(Debug, Clone)]
pub struct Client {
    streams: Streams,
    dialer: Dialer,
    large_answers: Arc<Semaphore>,
}

impl Client {
    /// A client over `streams` that has `dialer` connect to servers. Of addresses in answers it keeps those that may be
    /// dialled.
    pub fn new(streams: Streams, dialer: Dialer) -> Self {
        Self { streams, dialer, large_answers: Arc::new(Semaphore::new(LARGE_ANSWERS_BYTES)) }
    }

    /// The server's answer to an encoded request, within ten seconds.
    pub async fn ask(&self, server: PeerInfo, request: &[u8]) -> io::Result<Answer> {
        let answer = async {
            let mut stream = self.open(server).await?;
            stream.write_all(request).await?;
            stream.flush().await?;
            self.read_answer(&mut stream).await
        };
        tokio::time::timeout(LIMIT, answer).await?
    }

    /// A stream to the server, which is connected to if it is not yet; the caller bounds the time.
    pub async fn open(&self, server: PeerInfo) -> io::Result<Stream> {
        let id = server.id;
        self.connect(server).await?;
        self.streams.open(&id).await
    }

    async fn connect(&self, server: PeerInfo) -> io::Result<()> {
        if self.streams.is_connected(&server.id) {
            return Ok(());
        }
        let addresses = server.full_addresses();
        let request = DialRequest { asker: LOOK_UP, peer: server.id, addresses };
        self.dialer.commands.connect(request).await.map_err(|error| io::Error::new(io::ErrorKind::NotConnected, error))
    }

    /// Reads an answer; the caller bounds the time.
    pub async fn read_answer(&self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Answer> {
        let length = read_length(stream, LIMIT).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let weight = if length > LARGE_ANSWER_BYTES { u32::try_from(length).unwrap_or(u32::MAX) } else { 0 };
        let _share = self.large_answers.acquire_many(weight).await.map_err(io::Error::other)?;
        let body = read_body(stream, length, |_| ()).await?;
        let usable = |address: &_| self.dialer.gate.check(address).is_ok();
        Answer::decode(&body, &usable).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
