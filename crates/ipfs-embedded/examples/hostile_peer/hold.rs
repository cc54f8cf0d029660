//! Connections that are there and carry nothing.

use crate::{ATTACKING, Crowd};

/// Connect, and stay.
pub async fn run(crowd: Crowd) {
    crowd
        .attack(|peer| async move {
            let _stream = peer.open().await;
            println!("{ATTACKING}");
            std::future::pending::<()>().await;
        })
        .await;
}
