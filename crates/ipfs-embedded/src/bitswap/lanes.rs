//! Serves a peer with a backlog on several streams at once.
//!
//! A stream carries no more than its window in a round trip, 1 MiB at most and so 12 MiB/s at 80 ms, whatever the line
//! is worth. Several of them add up, and each has its own message. A further stream is opened with spare memory only:
//! a peer waits in one place for what others hold.

use std::io;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use pinrail_domain::chain;

use super::exchange::Exchange;
use super::outlet::{Outlet, STREAM_IDLE_LIMIT};
use super::peer::Peer;
use super::server::{Answers, choose, reader, send_message};

/// Messages in a row that may fail, before the peer's wants are dropped: streams are closed by peers at any time.
const MAX_FAILURES: u32 = 3;

/// Serve `peer` until it is gone.
pub async fn serve(exchange: Arc<Exchange>, peer: Arc<Peer>) {
    tokio::select! {
        () = peer.wait_gone() => {}
        () = serve_on_lanes(&exchange, &peer) => {}
    }
}

async fn serve_on_lanes(exchange: &Arc<Exchange>, peer: &Arc<Peer>) {
    let (mut sending, mut idle, mut failures) = (FuturesUnordered::new(), Vec::new(), 0);
    loop {
        while has_lane(exchange, peer, sending.len()) {
            let answers = choose(exchange, peer);
            if answers.is_empty() {
                break;
            }
            let outlet = idle.pop().unwrap_or_else(|| Outlet::new(peer.clone()));
            sending.push(send_on(exchange, peer, outlet, answers));
        }
        tokio::select! {
            Some((outlet, answers, sent)) = sending.next() => {
                idle.push(outlet);
                failures = if sent.is_ok() { 0 } else { failures + 1 };
                if let Err(error) = sent {
                    note_failure(exchange, peer, &answers, &error, failures);
                }
            }
            () = peer.serve.wait_changed() => {}
            () = tokio::time::sleep(STREAM_IDLE_LIMIT), if sending.is_empty() && !idle.is_empty() => {
                idle.drain(..).for_each(Outlet::close);
            }
        }
    }
}

fn has_lane(exchange: &Exchange, peer: &Peer, taken: usize) -> bool {
    let is_spare = || exchange.shared.serve_budget.is_spare(reader(exchange, peer), &peer.serve.share);
    taken == 0 || taken < peer.serve.lanes() && is_spare()
}

async fn send_on(
    exchange: &Arc<Exchange>,
    peer: &Arc<Peer>,
    mut outlet: Outlet,
    answers: Answers,
) -> (Outlet, Answers, io::Result<()>) {
    let sent = send_message(exchange, peer, &mut outlet, &answers).await;
    (outlet, answers, sent)
}

/// Answer again on another stream, unless the peer does not read or has no streams for us.
fn note_failure(exchange: &Exchange, peer: &Arc<Peer>, answers: &Answers, error: &io::Error, failures: u32) {
    if error.kind() != io::ErrorKind::TimedOut && failures < MAX_FAILURES {
        peer.serve.put_back(&answers.wants);
        return;
    }
    tracing::debug!(peer = %peer.id, error = chain(error), "not served, its wants are dropped");
    exchange.waiting_peers.leave(peer);
    peer.serve.note_slow();
}
