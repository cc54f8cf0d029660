//! Sends our wants to one peer, many in a message.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::outlet::Outlet;
use super::peer::Peer;
use super::wire::{WantEntry, encode_wantlist};

/// Entries of one message, well below what other nodes read of a wantlist.
const MAX_ENTRIES: usize = 512;
/// A peer that takes no wants for this long is not waited for; the fetches ask again or ask others.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Send what comes through `outbox` until the peer is gone.
pub async fn send_wants(peer: Arc<Peer>, mut outbox: mpsc::UnboundedReceiver<WantEntry>) {
    let mut outlet = Outlet::new(peer.clone());
    let mut entries = Vec::new();
    loop {
        tokio::select! {
            () = peer.wait_gone() => return,
            count = outbox.recv_many(&mut entries, MAX_ENTRIES) => if count == 0 { return },
        }
        for message in split_repeated(&entries) {
            let frame = encode_wantlist(message);
            if let Err(error) = send(&mut outlet, &frame).await {
                tracing::debug!(peer = %peer.id, %error, "wants not sent");
            }
        }
        entries.clear();
    }
}

/// Send a message, once more on a new stream if the peer has closed the old one meanwhile.
async fn send(outlet: &mut Outlet, frame: &[u8]) -> std::io::Result<()> {
    outlet.ready().await?;
    if outlet.write(&[frame], WRITE_LIMIT).await.is_ok() {
        return Ok(());
    }
    outlet.ready().await?;
    outlet.write(&[frame], WRITE_LIMIT).await
}

/// Cut where a CID comes again: a peer that reads a cancel and a want of it in one message may ignore the want.
fn split_repeated(entries: &[WantEntry]) -> Vec<&[WantEntry]> {
    let mut messages = Vec::new();
    let (mut start, mut seen) = (0, HashSet::new());
    for (index, entry) in entries.iter().enumerate() {
        let (WantEntry::Cancel(cid) | WantEntry::Want { cid, .. }) = entry;
        if !seen.insert(cid) {
            messages.push(&entries[start..index]);
            start = index;
            seen = HashSet::from([cid]);
        }
    }
    messages.push(&entries[start..]);
    messages
}

#[cfg(test)]
mod tests {
    use super::super::wire::WantKind;
    use super::*;
    use cid::Cid;
    use pinrail_ipfs::hash::hash;

    #[test]
    fn a_want_after_its_cancel_goes_in_another_message() {
        let cid = |name: &str| Cid::new_v1(0x55, hash(0x12, 32, name.as_bytes()).expect("sha2-256"));
        let want = |cid| WantEntry::Want { cid, kind: WantKind::Block, send_dont_have: true };
        let (first, second) = (cid("a"), cid("b"));
        let entries = [want(second), WantEntry::Cancel(first), want(first), want(cid("c"))];
        assert_eq!(split_repeated(&entries), [&entries[..2], &entries[2..]]);
        assert_eq!(split_repeated(&entries[..2]), [&entries[..2]]);
    }
}
