//! What became of the dials of each address: the ones that worked are tried first, those that did not come last.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use libp2p::swarm::DialError;
use libp2p::{Multiaddr, TransportError};

use crate::bitswap::lock;

/// Addresses that are remembered; above that the older half is forgotten.
const MAX_REMEMBERED: usize = 8_192;
/// How libp2p's TLS names a certificate of another time in its error.
const WRONG_TIME: &str = "InvalidCertValidity";

/// The end of a dial of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The peer was reached.
    Connected,
    /// Nothing answered, or nothing that speaks this protocol.
    Unreachable,
    /// Another peer answered.
    WrongPeer,
    /// The peer's certificate is not valid at the time that this machine's clock shows.
    WrongTime,
}

/// Dials by their outcome since the node started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DialCounts {
    /// Dials that reached their peer.
    pub connected: u64,
    /// Dials that nothing answered, or nothing that speaks the protocol.
    pub unreachable: u64,
    /// Dials that another peer answered.
    pub wrong_peer: u64,
    /// Dials of peers whose certificate is not valid at the time that this machine's clock shows.
    pub wrong_time: u64,
}

/// The last attempt of each address, which ends in its peer.
#[derive(Debug, Clone, Default)]
pub struct Attempts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    counts: [AtomicU64; 4],
}

#[derive(Debug, Default)]
struct Known {
    by_address: HashMap<Multiaddr, Attempt>,
    next: u64,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    outcome: Outcome,
    /// Failures since it last worked.
    failures: u32,
    number: u64,
}

impl Attempts {
    /// Take in how a dial of this address ended.
    pub fn note(&self, address: &Multiaddr, outcome: Outcome) {
        self.0.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
        let mut known = lock(&self.0.known);
        let number = known.next;
        known.next += 1;
        let failed = u32::from(outcome != Outcome::Connected);
        let before = known.by_address.get(address).map_or(0, |attempt| attempt.failures);
        known.by_address.insert(address.clone(), Attempt { outcome, failures: (before + 1) * failed, number });
        if known.by_address.len() > MAX_REMEMBERED {
            let half = number.saturating_sub(MAX_REMEMBERED as u64 / 2);
            known.by_address.retain(|_, attempt| attempt.number > half);
        }
    }

    /// Take in the errors of a dial that tried several addresses.
    pub fn note_errors(&self, errors: &[(Multiaddr, TransportError<io::Error>)]) {
        for (address, error) in errors {
            self.note(address, outcome_of(error));
        }
    }

    /// Take in a dial that failed, of `addresses`.
    pub fn note_failure<'a>(&self, addresses: impl Iterator<Item = &'a Multiaddr>, error: &DialError) {
        match error {
            DialError::Transport(errors) => self.note_errors(errors),
            DialError::WrongPeerId { address, .. } => self.note(address, Outcome::WrongPeer),
            // It is connected, and that is what counts.
            DialError::DialPeerConditionFalse(_) => {}
            _ => addresses.for_each(|address| self.note(address, Outcome::Unreachable)),
        }
    }

    /// The last outcome of this address; `None` if it was not tried lately.
    pub fn last(&self, address: &Multiaddr) -> Option<Outcome> {
        lock(&self.0.known).by_address.get(address).map(|attempt| attempt.outcome)
    }

    /// The order in which to try addresses: 0 for one that worked, 1 for a new one, more for each failure.
    pub fn rank(&self, address: &Multiaddr) -> u32 {
        match lock(&self.0.known).by_address.get(address) {
            Some(Attempt { failures: 0, .. }) => 0,
            Some(Attempt { failures, .. }) => failures + 1,
            None => 1,
        }
    }

    /// How many dials ended how.
    pub fn counts(&self) -> DialCounts {
        let count = |outcome: Outcome| self.0.counts[outcome as usize].load(Ordering::Relaxed);
        DialCounts {
            connected: count(Outcome::Connected),
            unreachable: count(Outcome::Unreachable),
            wrong_peer: count(Outcome::WrongPeer),
            wrong_time: count(Outcome::WrongTime),
        }
    }
}

fn outcome_of(error: &TransportError<io::Error>) -> Outcome {
    let is_wrong_time = matches!(error, TransportError::Other(error) if names_wrong_time(error));
    if is_wrong_time { Outcome::WrongTime } else { Outcome::Unreachable }
}

/// Whether an error is about a certificate that is not valid at the time that this machine's clock shows.
///
/// Its kind is only in what the error shows of itself: TLS does not name it as its source.
pub fn names_wrong_time(error: &dyn fmt::Debug) -> bool {
    format!("{error:?}").contains(WRONG_TIME)
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;
    use libp2p::tls::certificate;
    use rcgen::{CertificateParams, CustomExtension, KeyPair};

    use super::*;

    /// A libp2p certificate of the year 4000, but for its signatures.
    fn certificate_of_another_time() -> Vec<u8> {
        let der = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).expect("short")], content].concat();
        let key = Keypair::generate_ed25519().public().encode_protobuf();
        let content = der(0x30, &[der(0x04, &key), der(0x04, &[0; 64])].concat());
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(4_000, 1, 1);
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 53_594, 1, 1], content)];
        let signed = params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
        signed.der().to_vec()
    }

    #[test]
    fn a_certificate_of_another_time_is_told_apart() {
        let certificate = certificate_of_another_time().into();
        let error = certificate::parse(&certificate).expect_err("it is not valid yet");
        // As it comes from a dial: TLS's own error within two of the transport's.
        let error = io::Error::other(io::Error::other(rustls::Error::from(error)));
        assert_eq!(outcome_of(&TransportError::Other(error)), Outcome::WrongTime);
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(outcome_of(&TransportError::Other(error)), Outcome::Unreachable);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest_stays() {
        let attempts = Attempts::default();
        let address = |number: u64| format!("/memory/{number}").parse::<Multiaddr>().expect("a multiaddr");
        let most = MAX_REMEMBERED as u64;
        for number in 1..=2 * most {
            attempts.note(&address(number), Outcome::Unreachable);
        }
        assert!(lock(&attempts.0.known).by_address.len() <= MAX_REMEMBERED);
        assert_eq!(attempts.rank(&address(2 * most)), 2);
        assert_eq!(attempts.rank(&address(1)), 1, "it is new again");
        assert_eq!(attempts.counts().unreachable, 2 * most);
    }
}
