//! Writes messages to a peer, over one stream as long as the peer keeps it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::AsyncWriteExt;
use libp2p::swarm::Stream;
use tokio::time::Instant;

use super::peer::Peer;
use super::protocol::Version;

/// Helia closes streams that were idle for five seconds, so an older one is not trusted.
pub(super) const STREAM_IDLE_LIMIT: Duration = Duration::from_secs(4);

/// The stream for one kind of message to a peer, opened when needed.
pub(super) struct Outlet {
    peer: Arc<Peer>,
    stream: Option<(Stream, Version)>,
    used: Instant,
}

impl Outlet {
    pub(super) fn new(peer: Arc<Peer>) -> Self {
        Self { peer, stream: None, used: Instant::now() }
    }

    /// A stream that the peer still reads, and what it speaks.
    pub(super) async fn ready(&mut self) -> io::Result<Version> {
        if self.used.elapsed() > STREAM_IDLE_LIMIT {
            close(self.stream.take());
        }
        if self.stream.is_none() {
            self.stream = Some(self.peer.open_stream().await?);
        }
        self.used = Instant::now();
        Ok(self.stream.as_ref().map_or(Version::V1_0, |(_, version)| *version))
    }

    /// Close the stream, in order.
    pub(super) fn close(self) {
        close(self.stream);
    }

    /// Give up a stream on which a message was not written to its end.
    pub(super) fn abandon(&mut self) {
        self.stream = None;
    }

    /// Write one message in pieces. A stream that has not taken it after `limit` is given up.
    pub(super) async fn write(&mut self, pieces: &[impl AsRef<[u8]>], limit: Duration) -> io::Result<()> {
        let (stream, _) = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let write = async {
            for piece in pieces {
                stream.write_all(piece.as_ref()).await?;
            }
            stream.flush().await
        };
        let written = tokio::time::timeout(limit, write).await.map_err(io::Error::from).flatten();
        self.used = Instant::now();
        self.peer.note_active();
        if written.is_err() {
            self.stream = None;
        }
        written
    }
}

/// Closing may wait for a peer that does not read; nothing depends on it.
fn close(stream: Option<(Stream, Version)>) {
    if let Some((mut stream, _)) = stream {
        tokio::spawn(async move { tokio::time::timeout(STREAM_IDLE_LIMIT, stream.close()).await });
    }
}
