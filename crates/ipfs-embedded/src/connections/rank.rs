//! The order in which connections are closed when their places run out. Pure.

use std::time::Duration;

use libp2p::swarm::ConnectionId;

/// The worth of a connection, the least first. A protocol that keeps connections of its own has a variant here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// Nothing is known that speaks for it.
    None,
    /// The peer speaks bitswap.
    Bitswap,
    /// The peer gave us blocks lately, or was asked for some.
    Exchange,
    /// The peer is a sibling or a named origin.
    Named,
}

/// A connection that may be closed.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// The connection.
    pub id: ConnectionId,
    /// Its worth.
    pub worth: Worth,
    /// How long ago its peer last sent or took a message, or connected.
    pub idle: Duration,
}

/// The connections to close, given that all of `connections` share so many places: none until nine tenths are taken,
/// then the least worthy until eight are, and of equal ones those that have been idle longest. One that was used within
/// `grace` stays, and so does one whose peer was named.
pub fn to_close(connections: &[Candidate], places: usize, grace: Duration) -> Vec<ConnectionId> {
    if connections.len() < places.div_ceil(10) * 9 {
        return Vec::new();
    }
    let is_free = |connection: &&Candidate| connection.worth < Worth::Named && connection.idle >= grace;
    let mut free = connections.iter().filter(is_free).collect::<Vec<_>>();
    free.sort_by_key(|connection| (connection.worth, std::cmp::Reverse(connection.idle)));
    let excess = connections.len().saturating_sub(places / 10 * 8);
    free.into_iter().take(excess).map(|connection| connection.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(20);

    fn connection(id: usize, worth: Worth, idle: u64) -> Candidate {
        Candidate { id: ConnectionId::new_unchecked(id), worth, idle: Duration::from_secs(idle) }
    }

    fn closed(connections: &[Candidate], places: usize) -> Vec<ConnectionId> {
        to_close(connections, places, GRACE)
    }

    #[test]
    fn none_is_closed_while_there_are_places() {
        let mut connections = (0..17).map(|id| connection(id, Worth::None, 1_000)).collect::<Vec<_>>();
        assert!(closed(&connections, 20).is_empty());
        connections.push(connection(17, Worth::None, 1_000));
        assert_eq!(closed(&connections, 20).len(), 2);
    }

    #[test]
    fn the_least_worthy_go_first_and_of_them_the_longest_idle() {
        let mut connections = vec![
            connection(0, Worth::Named, 9_000),
            connection(1, Worth::Exchange, 9_000),
            connection(2, Worth::Bitswap, 9_000),
            connection(3, Worth::None, 100),
            connection(4, Worth::None, 200),
            connection(5, Worth::None, 19),
        ];
        connections.extend((6..10).map(|id| connection(id, Worth::Named, 9_000)));
        let expected = [4, 3].map(ConnectionId::new_unchecked);
        assert_eq!(closed(&connections, 10), expected);
        let more = closed(&connections[..9], 1);
        assert_eq!(more, [4, 3, 2, 1].map(ConnectionId::new_unchecked), "those that were named stay, and the young");
    }
}
