//! Closes the strangers that have been idle longest before all places are taken, so that whoever comes finds one.

use std::sync::Arc;
use std::time::Duration;

use crate::bitswap::{Exchange, Peer};
use crate::limits::NodeLimits;

/// How often the places are looked at.
const TICK: Duration = Duration::from_secs(1);

/// While nine tenths of the strangers' places are taken, close those that have been idle longest until eight are.
pub async fn keep_places(exchange: Arc<Exchange>, limits: NodeLimits) {
    let places = usize::try_from(limits.incoming).unwrap_or(usize::MAX);
    loop {
        tokio::time::sleep(TICK).await;
        let mut strangers = strangers(&exchange);
        let mut taken = strangers.iter().map(|peer| peer.connections()).sum::<usize>();
        if taken < places.div_ceil(10) * 9 {
            continue;
        }
        strangers.sort_by_key(|peer| std::cmp::Reverse(peer.idle()));
        for peer in strangers.iter().take_while(|peer| peer.idle() >= limits.stranger_idle) {
            if taken <= places / 10 * 8 {
                break;
            }
            taken -= peer.connections().min(taken);
            tracing::debug!(peer = %peer.id, "closing an idle connection to make room");
            exchange.shared.counters.closed_for_room.add(1);
            exchange.shared.commands.disconnect(peer.id);
        }
    }
}

fn strangers(exchange: &Exchange) -> Vec<Arc<Peer>> {
    let mut peers = exchange.peers();
    peers.retain(|peer| peer.has_dialled_us() && !exchange.shared.known.contains(&peer.id));
    peers
}
