//! Kademlia's messages as they travel: protobuf with a length before it (libp2p specs, kad-dht, "RPC messages").
//!
//! Only what a client needs: requests are written, answers are read. The server's side is libp2p-kad's.

use libp2p::core::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use quick_protobuf::{BytesReader, Writer};
use thiserror::Error;

use super::keyspace::Key;

/// Usable addresses that are kept of one peer.
pub const MAX_ADDRESSES: usize = 8;
/// Closer peers that are looked at in one answer; an honest server names at most k of them, which is as many.
const MAX_CLOSER: usize = 20;
/// Providers that are looked at in one answer.
const MAX_PROVIDERS: usize = 1_000;
/// More protobuf fields than this in one answer are an error, wherever in it they stand.
const MAX_FIELDS: usize = 1 << 16;

const ADD_PROVIDER: u8 = 2;
const GET_PROVIDERS: u8 = 3;
const FIND_NODE: u8 = 4;

/// A peer and where it can be dialled; the addresses do not name the peer again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// The peer.
    pub id: PeerId,
    /// Its addresses, at most [`MAX_ADDRESSES`].
    pub addresses: Vec<Multiaddr>,
}

impl PeerInfo {
    /// Adds addresses that are not known yet, up to [`MAX_ADDRESSES`] in all.
    pub fn extend(&mut self, addresses: impl IntoIterator<Item = Multiaddr>) {
        for address in addresses {
            if self.addresses.len() < MAX_ADDRESSES && !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
    }

    /// Its place in the keyspace.
    pub fn key(&self) -> Key {
        Key::of(&self.id.to_bytes())
    }

    /// Its addresses, each ending in `/p2p/<peer id>`.
    pub fn full_addresses(&self) -> Vec<Multiaddr> {
        self.addresses.iter().map(|address| address.clone().with(Protocol::P2p(self.id))).collect()
    }
}

/// A request to a server. Keys are preimages: the bytes of a multihash or of a peer id.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// The servers closest to a key, and the peer of that id if it is known.
    FindNode(&'a [u8]),
    /// The providers of a multihash, and the servers closest to it.
    GetProviders(&'a [u8]),
    /// Keep a record that the sender provides a multihash. Go servers answer nothing.
    AddProvider {
        /// The multihash.
        key: &'a [u8],
        /// The sender and its addresses.
        provider: &'a PeerInfo,
    },
}

impl<'a> Request<'a> {
    /// The bytes whose SHA-256 is the key.
    pub fn key(&self) -> &'a [u8] {
        match *self {
            Self::FindNode(key) | Self::GetProviders(key) | Self::AddProvider { key, .. } => key,
        }
    }

    /// The message with its length before it.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, provider) = match self {
            Self::FindNode(_) => (FIND_NODE, None),
            Self::GetProviders(_) => (GET_PROVIDERS, None),
            Self::AddProvider { provider, .. } => (ADD_PROVIDER, Some(provider)),
        };
        let mut body = vec![0x08, kind];
        put_bytes(&mut body, 0x12, self.key());
        if let Some(provider) = provider {
            put_bytes(&mut body, 0x4a, &encode_peer(provider));
        }
        let mut message = Vec::with_capacity(body.len() + 4);
        put_varint(&mut message, body.len());
        message.extend(body);
        message
    }
}

/// A server's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Servers that are closer to the key, the closest first if the server is honest.
    pub closer: Vec<PeerInfo>,
    /// Those who are said to provide the key.
    pub providers: Vec<PeerInfo>,
}

/// Why bytes are no answer.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// They are no protobuf.
    #[error(transparent)]
    Protobuf(#[from] quick_protobuf::Error),
    /// They hold more than an honest server sends.
    #[error("an answer of more than {MAX_FIELDS} fields")]
    TooManyFields,
}

impl Answer {
    /// Reads an answer without its length. Of each peer the first `usable` addresses are kept; peers whose id cannot be
    /// read are left out, and so is what goes beyond the bounds.
    pub fn decode(bytes: &[u8], usable: &dyn Fn(&Multiaddr) -> bool) -> Result<Self, DecodeError> {
        let mut answer = Self::default();
        let (mut reader, mut fields) = (BytesReader::from_bytes(bytes), Fields(MAX_FIELDS));
        while let Some(tag) = fields.next(&mut reader, bytes)? {
            let (peers, most) = match tag {
                0x42 => (&mut answer.closer, MAX_CLOSER),
                0x4a => (&mut answer.providers, MAX_PROVIDERS),
                other => {
                    reader.read_unknown(bytes, other)?;
                    continue;
                }
            };
            let peer = reader.read_bytes(bytes)?;
            if peers.len() < most {
                peers.extend(decode_peer(&mut fields, peer, usable)?);
            }
        }
        Ok(answer)
    }
}

/// Reads the fields of one message and of all that is within, which are counted together.
struct Fields(usize);

impl Fields {
    fn next(&mut self, reader: &mut BytesReader, bytes: &[u8]) -> Result<Option<u32>, DecodeError> {
        if reader.is_eof() {
            return Ok(None);
        }
        self.0 = self.0.checked_sub(1).ok_or(DecodeError::TooManyFields)?;
        Ok(Some(reader.next_tag(bytes)?))
    }
}

fn decode_peer(
    fields: &mut Fields,
    bytes: &[u8],
    usable: &dyn Fn(&Multiaddr) -> bool,
) -> Result<Option<PeerInfo>, DecodeError> {
    let mut reader = BytesReader::from_bytes(bytes);
    let (mut id, mut addresses) = (None, Vec::new());
    while let Some(tag) = fields.next(&mut reader, bytes)? {
        match tag {
            0x0a => id = PeerId::from_bytes(reader.read_bytes(bytes)?).ok(),
            0x12 => addresses.push(reader.read_bytes(bytes)?),
            other => reader.read_unknown(bytes, other)?,
        }
    }
    Ok(id.map(|id| {
        let mut peer = PeerInfo { id, addresses: Vec::new() };
        let read = addresses.into_iter().filter_map(|bytes| Multiaddr::try_from(bytes.to_vec()).ok());
        peer.extend(read.filter_map(|address| address_of(&id, address)).filter(usable));
        peer
    }))
}

/// The address without the peer at its end; none if it is another peer's.
pub fn address_of(id: &PeerId, mut address: Multiaddr) -> Option<Multiaddr> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) if peer == *id => {
            address.pop();
            Some(address)
        }
        Some(Protocol::P2p(_)) | None => None,
        Some(_) => Some(address),
    }
}

fn encode_peer(peer: &PeerInfo) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    put_bytes(&mut bytes, 0x0a, &peer.id.to_bytes());
    for address in &peer.addresses {
        put_bytes(&mut bytes, 0x12, &address.to_vec());
    }
    bytes
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len());
    out.extend(bytes);
}

fn put_varint(out: &mut Vec<u8>, value: usize) {
    Writer::new(out).write_varint(value as u64).expect("writing to memory cannot fail");
}

/// An answer as a server writes it.
#[cfg(test)]
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    let mut body = vec![0x08, GET_PROVIDERS];
    answer.closer.iter().for_each(|peer| put_bytes(&mut body, 0x42, &encode_peer(peer)));
    answer.providers.iter().for_each(|peer| put_bytes(&mut body, 0x4a, &encode_peer(peer)));
    body
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn any_address(_: &Multiaddr) -> bool {
        true
    }

    fn address() -> impl Strategy<Value = Multiaddr> {
        (any::<[u8; 4]>(), 1..u16::MAX)
            .prop_map(|(ip, port)| Multiaddr::from(std::net::Ipv4Addr::from(ip)).with(Protocol::Tcp(port)))
    }

    fn peer() -> impl Strategy<Value = PeerInfo> {
        vec(address(), 0..=MAX_ADDRESSES).prop_map(|mut addresses| {
            addresses.sort();
            addresses.dedup();
            PeerInfo { id: PeerId::random(), addresses }
        })
    }

    proptest! {
        #[test]
        fn an_answer_comes_back_as_it_was_sent(
            closer in vec(peer(), 0..=MAX_CLOSER),
            providers in vec(peer(), 0..30),
        ) {
            let answer = Answer { closer, providers };
            prop_assert_eq!(Answer::decode(&encode_answer(&answer), &any_address).expect("it is read"), answer);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _any_answer = Answer::decode(&bytes, &any_address);
        }

        #[test]
        fn no_damage_to_an_answer_makes_it_panic(peers in vec(peer(), 1..4), at: usize, byte: u8) {
            let mut bytes = encode_answer(&Answer { closer: peers.clone(), providers: peers });
            let at = at % bytes.len();
            bytes[at] = byte;
            let _any_answer = Answer::decode(&bytes, &any_address);
        }
    }

    #[test]
    fn what_goes_beyond_the_bounds_is_left_out() {
        let address = |port| format!("/ip4/8.8.8.8/tcp/{port}").parse::<Multiaddr>().expect("a multiaddr");
        let crowded = PeerInfo { id: PeerId::random(), addresses: (1..=50).map(address).collect() };
        let answer = Answer { closer: vec![crowded.clone(); 50], providers: vec![crowded; 2_000] };
        let read = Answer::decode(&encode_answer(&answer), &|usable| *usable != address(1)).expect("it is read");
        assert_eq!((read.closer.len(), read.providers.len()), (20, 1_000));
        assert_eq!(read.closer[0].addresses, (2..=9).map(address).collect::<Vec<_>>());
        let fields = [0x0a, 0].repeat(MAX_FIELDS + 1);
        assert!(matches!(Answer::decode(&fields, &any_address), Err(DecodeError::TooManyFields)));
    }

    #[test]
    fn the_peer_at_the_end_of_an_address_is_stripped_and_must_be_the_same() {
        let (id, other) = (PeerId::random(), PeerId::random());
        let address = |text: String| text.parse::<Multiaddr>().expect("a multiaddr");
        let plain = address("/ip4/8.8.8.8/tcp/1".to_owned());
        assert_eq!(address_of(&id, address(format!("{plain}/p2p/{id}"))), Some(plain.clone()));
        assert_eq!(address_of(&id, plain.clone()), Some(plain.clone()));
        assert_eq!(address_of(&id, address(format!("{plain}/p2p/{other}"))), None);
    }

    #[test]
    fn requests_are_what_the_specification_says() {
        assert_eq!(Request::FindNode(b"key").encode(), b"\x07\x08\x04\x12\x03key");
        assert_eq!(Request::GetProviders(b"key").encode(), b"\x07\x08\x03\x12\x03key");
        let provider = PeerInfo { id: PeerId::random(), addresses: vec!["/tcp/1".parse().expect("a multiaddr")] };
        let message = Request::AddProvider { key: b"key", provider: &provider }.encode();
        let (id, peer) = (provider.id.to_bytes(), encode_peer(&provider));
        assert_eq!(peer, [&[0x0a, 34][..], &id, b"\x12\x03\x06\x00\x01"].concat());
        assert_eq!(message, [&b"\x32\x08\x02\x12\x03key\x4a\x29"[..], &peer].concat());
    }
}
