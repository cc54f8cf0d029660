//! Peers that want thousands of blocks which nobody has, message after message.

use std::sync::Arc;

use cid::Cid;

use crate::script::{Script, wants, write_message};
use crate::support::{content, raw};
use crate::{ATTACKING, Crowd};

/// The wants of one message.
const WANTS: u64 = 4_000;

/// Ask, and go on asking.
pub async fn run(crowd: Crowd) {
    crowd.attack(ask).await;
}

async fn ask(peer: Arc<Script>) {
    let mut stream = peer.open().await;
    println!("{ATTACKING}");
    for message in 0.. {
        let cid = |number: u64| raw(content(16, message * WANTS + number)).0;
        let cids = (0..WANTS).map(cid).collect::<Vec<Cid>>();
        if write_message(&mut stream, &wants(&cids)).await.is_err() {
            return;
        }
    }
}
