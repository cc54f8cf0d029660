//! Who may be asked for roots that nobody had yet.
//!
//! Asking tells what is wanted, and asking everybody is most of what a node would send: so all roots are asked only of
//! peers with a reason to have them. A client behind a NAT dials us when it has asked for a pin, so whoever just came is
//! asked for the newest roots once. Any other peer is asked for the very newest, and one that we dialled for a look-up for
//! none: what they do not have, a search finds.

use crate::bitswap::{Peer, SpeaksBitswap};

/// The newest roots that a peer is asked for which just dialled us.
pub const NEWEST_OF_NEWCOMER: usize = 200;
/// The newest roots that any other peer is asked for.
pub const NEWEST_OF_STRANGER: usize = 16;

/// The roots that a peer may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All that are waited for.
    All,
    /// So many of those that were added last.
    Newest(usize),
    /// None.
    Nothing,
}

/// The waiting roots that a peer may be asked for; `is_known` says whether it has a reason to be here.
pub fn of_waiting_roots(peer: &Peer, is_known: bool) -> Share {
    if peer.is_for_look_up() && !is_known {
        return Share::Nothing;
    }
    share(peer.speaks_bitswap(), is_known, peer.is_newcomer())
}

/// Whether a peer may be asked at once for what is being fetched and was not waited for before. One that we dialled has
/// to say first that it speaks bitswap.
pub fn may_ask_for_new(peer: &Peer) -> bool {
    match peer.speaks_bitswap() {
        _ if peer.is_for_look_up() => false,
        SpeaksBitswap::Maybe => true,
        SpeaksBitswap::NotSaid => peer.has_dialled_us(),
        SpeaksBitswap::No => false,
    }
}

fn share(speaks: SpeaksBitswap, is_known: bool, is_newcomer: bool) -> Share {
    match speaks {
        SpeaksBitswap::No => Share::Nothing,
        _ if is_known => Share::All,
        SpeaksBitswap::NotSaid => Share::Nothing,
        SpeaksBitswap::Maybe if is_newcomer => Share::Newest(NEWEST_OF_NEWCOMER),
        SpeaksBitswap::Maybe => Share::Newest(NEWEST_OF_STRANGER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_peers_with_a_reason_are_asked_for_all() {
        use SpeaksBitswap::{Maybe, No, NotSaid};
        for (speaks, is_known, is_newcomer, expected) in [
            (Maybe, true, false, Share::All),
            (NotSaid, true, false, Share::All),
            (No, true, true, Share::Nothing),
            (Maybe, false, true, Share::Newest(200)),
            (Maybe, false, false, Share::Newest(16)),
            (NotSaid, false, true, Share::Nothing),
            (No, false, true, Share::Nothing),
        ] {
            assert_eq!(share(speaks, is_known, is_newcomer), expected, "{speaks:?} {is_known} {is_newcomer}");
        }
    }
}
