//! Records to the servers that keep them: each server is sent all of its records over one stream.

use std::io;
use std::ops::AddAssign;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, stream};
use libp2p::multihash::Multihash;

use crate::dht::{Client, K, Key, PeerInfo, Request, closest};

/// Servers that are sent records at once.
const SERVERS_AT_ONCE: usize = 20;
/// Sending to one server may take this long, and a second more for so many records.
const LIMIT: Duration = Duration::from_secs(30);
const RECORDS_A_SECOND: usize = 500;
/// Records are put together up to this many bytes before they are sent.
const BATCH_BYTES: usize = 64 << 10;
/// Every so manieth server is asked for a receipt.
const RECEIPT_EVERY: usize = 10;
/// Bytes of servers that echo what they were sent, which are read and not looked at.
const ECHO_BYTES: usize = 4 << 10;

/// What became of the records of a region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Servers that were to keep records.
    pub servers: usize,
    /// Servers that were sent all of theirs.
    pub reached: usize,
    /// Records that they were sent.
    pub records: usize,
    /// Servers that showed this node as a provider when they were asked for a receipt. Those of libp2p-kad never name the
    /// one who asks.
    pub confirmed: usize,
    /// Servers that gave no answer when they were asked for a receipt: so Go servers refuse a record.
    pub refused: usize,
}

impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.servers += other.servers;
        self.reached += other.reached;
        self.records += other.records;
        self.confirmed += other.confirmed;
        self.refused += other.refused;
    }
}

impl Sent {
    fn note_reached(&mut self, records: usize, is_confirmed: bool) {
        self.reached += 1;
        self.records += records;
        self.confirmed += usize::from(is_confirmed);
    }
}

/// How one server took its records.
enum Taken {
    Sent(usize),
    Confirmed(usize),
    Refused,
    Failed,
}

/// Sends these servers the records of these keys, each to the k closest; `own` is this node with its announced
/// addresses.
pub async fn send(client: &Client, own: &PeerInfo, keys: &[Multihash<64>], servers: &[(Key, PeerInfo)]) -> Sent {
    let places = servers.iter().map(|(key, _)| *key).collect::<Vec<_>>();
    let mut shares = vec![Vec::new(); servers.len()];
    for key in keys {
        let bytes = key.to_bytes();
        for server in closest(&Key::of(&bytes), &places, K) {
            shares[server].push(bytes.clone());
        }
    }
    let shares = servers.iter().zip(shares).filter(|(_, share)| !share.is_empty());
    let shares: Vec<_> = shares.map(|((_, server), share)| (server.clone(), share)).enumerate().collect();
    let taken = stream::iter(shares).map(|(index, (server, share))| async move {
        let wants_receipt = index % RECEIPT_EVERY == 0;
        let limit = LIMIT + Duration::from_secs((share.len() / RECORDS_A_SECOND) as u64);
        let sent = tokio::time::timeout(limit, send_share(client, own, &server, &share, wants_receipt)).await;
        sent.unwrap_or_else(|elapsed| Err(elapsed.into())).unwrap_or_else(|error| {
            tracing::debug!(server = %server.id, %error, "a server was not sent its records");
            Taken::Failed
        })
    });
    let mut sent = Sent::default();
    let mut taken = std::pin::pin!(taken.buffer_unordered(SERVERS_AT_ONCE));
    while let Some(taken) = taken.next().await {
        sent.servers += 1;
        match taken {
            Taken::Sent(records) => sent.note_reached(records, false),
            Taken::Confirmed(records) => sent.note_reached(records, true),
            Taken::Refused => sent.refused += 1,
            Taken::Failed => {}
        }
    }
    sent
}

async fn send_share(
    client: &Client,
    own: &PeerInfo,
    server: &PeerInfo,
    share: &[Vec<u8>],
    wants_receipt: bool,
) -> io::Result<Taken> {
    let mut stream = client.open(server.clone()).await?;
    let mut batch = Vec::with_capacity(BATCH_BYTES + 512);
    for key in share {
        batch.extend(Request::AddProvider { key, provider: own }.encode());
        if batch.len() >= BATCH_BYTES {
            stream.write_all(&batch).await?;
            batch.clear();
        }
    }
    // A Go server answers nothing to a record, and a stream that it resets for one that it refuses reads like one that
    // it ends. Its answer to a question on the same stream comes after all records before it were taken.
    let last = share.last().filter(|_| wants_receipt);
    batch.extend(last.map(|key| Request::GetProviders(key).encode()).unwrap_or_default());
    stream.write_all(&batch).await?;
    stream.flush().await?;
    if last.is_some() {
        let Ok(answer) = client.read_answer(&mut stream).await else { return Ok(Taken::Refused) };
        let names_us = answer.providers.iter().any(|provider| provider.id == own.id);
        return Ok(if names_us { Taken::Confirmed(share.len()) } else { Taken::Sent(share.len()) });
    }
    stream.close().await?;
    let mut echo = [0; ECHO_BYTES];
    while stream.read(&mut echo).await? > 0 {}
    Ok(Taken::Sent(share.len()))
}
