//! Blocks of every codec, made by hand, since no product crate is to be asked what is right.

use serde_json::json;
use sha2::{Digest, Sha256};

/// A codec of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Raw,
    DagPb,
    DagCbor,
    DagJson,
}

impl Codec {
    /// Its number in the multicodec table, as a varint.
    fn varint(self) -> &'static [u8] {
        match self {
            Self::Raw => &[0x55],
            Self::DagPb => &[0x70],
            Self::DagCbor => &[0x71],
            Self::DagJson => &[0xa9, 0x02],
        }
    }
}

/// A CID of version 1 with a SHA-256, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cid(Vec<u8>);

impl Cid {
    fn of(codec: Codec, block: &[u8]) -> Self {
        let mut bytes = vec![1];
        bytes.extend(codec.varint());
        bytes.extend([0x12, 0x20]);
        bytes.extend(Sha256::digest(block));
        Self(bytes)
    }

    /// One that is its block: the identity multihash of up to 127 bytes that mean nothing.
    pub fn inline(block: &[u8]) -> Self {
        let mut bytes = vec![1, 0x55, 0, u8::try_from(block.len()).unwrap_or(u8::MAX)];
        bytes.extend(block);
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// In base32, as most tools write it.
    pub fn base32(&self) -> String {
        const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut text = String::from("b");
        let (mut held, mut bits) = (0_u32, 0);
        for byte in &self.0 {
            held = held << 8 | u32::from(*byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                text.push(char::from(DIGITS[(held >> bits & 31) as usize]));
            }
            held &= (1 << bits) - 1;
        }
        if bits > 0 {
            text.push(char::from(DIGITS[(held << (5 - bits) & 31) as usize]));
        }
        text
    }

    /// In base16: another spelling of the same.
    pub fn base16(&self) -> String {
        self.0.iter().fold(String::from("f"), |text, byte| format!("{text}{byte:02x}"))
    }
}

/// A block with the CIDs that it links to.
#[derive(Clone, Debug)]
pub struct Block {
    pub cid: Cid,
    pub bytes: Vec<u8>,
    pub links: Vec<Cid>,
}

impl Block {
    /// Bytes that mean nothing.
    pub fn raw(bytes: Vec<u8>) -> Self {
        Self { cid: Cid::of(Codec::Raw, &bytes), bytes, links: Vec::new() }
    }

    /// A node that links to others; `salt` makes it differ from one with the same links.
    pub fn node(codec: Codec, links: Vec<Cid>, salt: u64) -> Self {
        let bytes = match codec {
            Codec::Raw => return Self::raw(salt.to_le_bytes().to_vec()),
            Codec::DagPb => dag_pb(&links, salt),
            Codec::DagCbor => dag_cbor(&links, salt),
            Codec::DagJson => dag_json(&links, salt),
        };
        Self { cid: Cid::of(codec, &bytes), bytes, links }
    }

    /// The same bytes read as bytes alone.
    pub fn as_raw(&self) -> Self {
        Self::raw(self.bytes.clone())
    }
}

/// A length or a number as CARs and protobuf write it.
pub fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
    bytes
}

/// Links first, then the data, as the format's one canonical form has it.
fn dag_pb(links: &[Cid], salt: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for link in links {
        let mut field = vec![0x0a];
        field.extend(varint(link.0.len()));
        field.extend(&link.0);
        field.extend([0x12, 0x00]);
        bytes.push(0x12);
        bytes.extend(varint(field.len()));
        bytes.extend(field);
    }
    bytes.extend([0x0a, 8]);
    bytes.extend(salt.to_le_bytes());
    bytes
}

/// `{"links": […], "salt": bytes}`.
fn dag_cbor(links: &[Cid], salt: u64) -> Vec<u8> {
    let mut bytes = vec![0xa2];
    bytes.extend(b"\x64salt\x48");
    bytes.extend(salt.to_le_bytes());
    bytes.extend(b"\x65links");
    bytes.extend(cbor_links(links));
    bytes
}

/// An array of links, each a byte string with the tag 42 and a zero before the CID.
pub fn cbor_links(links: &[Cid]) -> Vec<u8> {
    let count = u16::try_from(links.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![0x99];
    match count {
        0..=23 => bytes = vec![0x80 | u8::try_from(count).unwrap_or_default()],
        24..=255 => bytes = vec![0x98, u8::try_from(count).unwrap_or_default()],
        _ => bytes.extend(count.to_be_bytes()),
    }
    for link in links {
        bytes.extend([0xd8, 42, 0x58, u8::try_from(link.0.len() + 1).unwrap_or(u8::MAX), 0]);
        bytes.extend(&link.0);
    }
    bytes
}

fn dag_json(links: &[Cid], salt: u64) -> Vec<u8> {
    let links: Vec<_> = links.iter().map(|link| json!({ "/": link.base32() })).collect();
    json!({ "links": links, "salt": salt % (1 << 32) }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cid_is_spelt_as_others_spell_it() {
        // `ipfs block put` says so of an empty block, and of the bytes "hello".
        let empty = Block::raw(Vec::new()).cid;
        assert_eq!(empty.base32(), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
        let hello = Block::raw(b"hello".to_vec()).cid;
        assert_eq!(hello.base32(), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
        assert_eq!(Cid::inline(b"").base32(), "bafkqaaa");
        assert_eq!(Cid::inline(b"hello").base32(), "bafkqablimvwgy3y");
        assert!(hello.base16().starts_with("f01551220"), "{}", hello.base16());
    }

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(300), [0xac, 0x02]);
    }

    #[test]
    fn the_same_links_with_another_salt_are_another_node() {
        let leaf = Block::raw(vec![1]).cid;
        for codec in [Codec::DagPb, Codec::DagCbor, Codec::DagJson] {
            let one = Block::node(codec, vec![leaf.clone()], 1);
            assert_ne!(one.cid, Block::node(codec, vec![leaf.clone()], 2).cid);
            assert_ne!(one.cid, one.as_raw().cid);
        }
    }
}
