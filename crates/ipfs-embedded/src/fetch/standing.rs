//! What became of the origins of a fetch, in words for the person who named them.
//!
//! **Invariant:** an origin that did not answer is told as not reached and nothing more, or this node would be a port
//! scanner. A refusal by policy is judged from the address that was named.

use libp2p::Multiaddr;

use crate::attempts::Outcome;
use crate::dial::Dialer;
use crate::gate::Refusal;

/// Where an origin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It was connected and asked.
    Asked,
    /// It was connected, and does not speak bitswap.
    NoBitswap,
    /// None of its addresses answered as this peer.
    Unreachable,
    /// It was named by its id alone, and is not connected.
    NotFound,
    /// Its certificate is not valid at the time of this machine's clock.
    WrongTime,
    /// Policy refuses its addresses.
    Refused,
    /// Its addresses are all of transports that are not dialled.
    Unsupported,
    /// None of its addresses was tried yet.
    Untried,
}

impl Standing {
    /// Where a peer stands that is not connected.
    pub fn of_unconnected(addresses: &[Multiaddr], dialer: &Dialer) -> Self {
        if addresses.is_empty() {
            return Self::NotFound;
        }
        let judged = addresses.iter().map(|address| dialer.gate.check(address)).collect::<Vec<_>>();
        if judged.iter().all(Result::is_err) {
            let is_unsupported = judged.iter().all(|judged| matches!(judged, Err(Refusal::Unsupported)));
            return if is_unsupported { Self::Unsupported } else { Self::Refused };
        }
        let outcomes = addresses.iter().filter_map(|address| dialer.attempts.last(address)).collect::<Vec<_>>();
        if outcomes.contains(&Outcome::WrongTime) {
            return Self::WrongTime;
        }
        if outcomes.iter().any(|outcome| *outcome != Outcome::Connected) { Self::Unreachable } else { Self::Untried }
    }

    /// Whether it could be connected to.
    pub const fn is_reached(self) -> bool {
        matches!(self, Self::Asked | Self::NoBitswap)
    }

    const fn of_one(self) -> &'static str {
        match self {
            Self::Asked => "was asked",
            Self::NoBitswap => "was reached and does not speak bitswap",
            Self::Unreachable => "could not be reached",
            Self::NotFound => "was named without an address and could not be found or reached",
            Self::WrongTime => "has a TLS certificate that is not valid at the time of this service's clock",
            Self::Refused => "is in a network that this service does not dial",
            Self::Unsupported => {
                "has no address of a transport that this service dials, which are TCP, QUIC and WebSocket"
            }
            Self::Untried => "was not tried yet",
        }
    }

    const fn of_many(self) -> &'static str {
        match self {
            Self::Asked => "were asked",
            Self::NoBitswap => "were reached and do not speak bitswap",
            Self::NotFound => "were named without an address and could not be found or reached",
            Self::WrongTime => "have a TLS certificate that is not valid at the time of this service's clock",
            Self::Refused => "are in networks that this service does not dial",
            Self::Unsupported => {
                "have no address of a transport that this service dials, which are TCP, QUIC and WebSocket"
            }
            Self::Untried => "were not tried yet",
            Self::Unreachable => self.of_one(),
        }
    }
}

/// Describes all origins: `the one origin could not be reached`, `of the 3 origins 2 were asked and 1 was not tried yet`.
pub fn describe(mut standings: Vec<Standing>) -> String {
    standings.sort();
    let total = standings.len();
    let part = |alike: &[Standing]| match alike {
        [one] => format!("1 {}", one.of_one()),
        many => format!("{} {}", many.len(), many[0].of_many()),
    };
    let groups = standings.chunk_by(|one, other| one == other).collect::<Vec<_>>();
    match groups.as_slice() {
        [] => "no usable origins were given".to_owned(),
        [[one]] => format!("the one origin {}", one.of_one()),
        [[Standing::Unreachable, ..]] => format!("none of the {total} origins could be reached"),
        [[all, ..]] => format!("all {total} origins {}", all.of_many()),
        [first @ .., last] => {
            let first = first.iter().map(|group| part(group)).collect::<Vec<_>>();
            format!("of the {total} origins {} and {}", first.join(", "), part(last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_end_has_its_own_words() {
        use Standing::{Asked, NoBitswap, NotFound, Unreachable, Untried};
        for (standings, told) in [
            (vec![], "no usable origins were given"),
            (vec![Asked], "the one origin was asked"),
            (vec![NoBitswap], "the one origin was reached and does not speak bitswap"),
            (vec![NotFound], "the one origin was named without an address and could not be found or reached"),
            (vec![Unreachable; 3], "none of the 3 origins could be reached"),
            (vec![Asked; 2], "all 2 origins were asked"),
            (
                vec![Untried, Asked, Unreachable, Asked],
                "of the 4 origins 2 were asked, 1 could not be reached and 1 was not tried yet",
            ),
        ] {
            assert_eq!(describe(standings), told);
        }
    }
}
