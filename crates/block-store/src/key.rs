//! How the store names a DAG node, and how keys look as bytes.
use std::fmt;

use cid::Cid;
use cid::multihash::Multihash;
use pinrail_spec::multicodec::{IDENTITY, RAW};

/// A DAG node: bytes are keyed by their multihash, nodes (links, counts) by (codec, multihash).
///
/// The same bytes read as `raw` have no links, read as `dag-pb` they may have some: counted by
/// multihash alone, the second pin of them would be called whole while it has holes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey {
    /// The multicodec that says how the bytes are read.
    pub codec: u64,
    /// The hash of the bytes, digests of at most 64 bytes.
    pub multihash: Multihash<64>,
}

impl NodeKey {
    /// The node's CID in version 1.
    pub fn to_cid(&self) -> Cid {
        Cid::new_v1(self.codec, self.multihash)
    }

    /// The block's bytes when the multihash is an identity one, which carries them itself.
    pub fn identity_bytes(&self) -> Option<&[u8]> {
        identity_bytes(&self.multihash)
    }

    /// Whether the key is all there is to know: identity bytes read as `raw`. Such a node is never
    /// missing, has no links, and is neither stored nor counted.
    pub fn is_inline_leaf(&self) -> bool {
        self.codec == RAW && self.multihash.code() == IDENTITY
    }

    /// The codec as eight big-endian bytes, then the multihash.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48);
        bytes.extend_from_slice(&self.codec.to_be_bytes());
        bytes.extend_from_slice(&multihash_bytes(&self.multihash));
        bytes
    }

    /// Reads what [`NodeKey::to_bytes`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<NodeKey> {
        let (codec, multihash) = bytes.split_first_chunk::<8>()?;
        Some(NodeKey { codec: u64::from_be_bytes(*codec), multihash: Multihash::from_bytes(multihash).ok()? })
    }
}

impl From<&Cid> for NodeKey {
    fn from(cid: &Cid) -> NodeKey {
        NodeKey { codec: cid.codec(), multihash: *cid.hash() }
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_cid().fmt(formatter)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NodeKey({self})")
    }
}

/// The bytes that an identity multihash carries.
pub(crate) fn identity_bytes(multihash: &Multihash<64>) -> Option<&[u8]> {
    (multihash.code() == IDENTITY).then(|| multihash.digest())
}

/// A multihash as it is written in CIDs; the key of its bytes in the index.
pub(crate) fn multihash_bytes(multihash: &Multihash<64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(multihash.encoded_len());
    multihash.write(&mut bytes).expect("writing to a Vec does not fail");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(codec: u64, code: u64, digest: &[u8]) -> NodeKey {
        NodeKey { codec, multihash: Multihash::wrap(code, digest).expect("digest fits") }
    }

    #[test]
    fn keys_survive_their_bytes() {
        for key in [key(0x70, 0x12, &[7; 32]), key(0x0129, 0x13, &[9; 64]), key(0x55, 0, b"")] {
            assert_eq!(NodeKey::from_bytes(&key.to_bytes()), Some(key));
            assert_eq!(NodeKey::from(&key.to_cid()), key);
        }
        assert_eq!(NodeKey::from_bytes(&[0; 7]), None);
        assert_eq!(NodeKey::from_bytes(&[0, 0, 0, 0, 0, 0, 0, 0x55, 0x12, 0x20, 1]), None);
    }

    #[test]
    fn only_raw_identity_needs_no_storing() {
        assert!(key(0x55, 0, b"hello").is_inline_leaf());
        assert!(!key(0x71, 0, b"\xa0").is_inline_leaf());
        assert!(!key(0x55, 0x12, &[0; 32]).is_inline_leaf());
        assert_eq!(key(0x71, 0, b"\xa0").identity_bytes(), Some(&b"\xa0"[..]));
        assert_eq!(key(0x55, 0x12, &[0; 32]).identity_bytes(), None);
    }
}
