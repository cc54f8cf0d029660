//! The CID of a pin, echoed as it was sent and compared by codec and multihash.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use crate::multicodec::{DAG_CBOR, DAG_JSON, DAG_PB, IDENTITY, LIBP2P_KEY, RAW};
use crate::{Reason, hash};

/// A longer CID is refused by other nodes, so nobody could read what we accepted.
const MAX_CID_BYTES: usize = 168;
/// No text of a CID that we accept is longer: base2 writes eight characters for each byte.
const MAX_CID_TEXT: usize = 8 * MAX_CID_BYTES + 1;

/// The codecs that can be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Bytes without links.
    Raw,
    /// Protobuf nodes, the codec of `UnixFS` files and directories.
    DagPb,
    /// CBOR with links.
    DagCbor,
    /// JSON with links.
    DagJson,
}

impl Codec {
    /// The codec for a multicodec code, if it can be pinned.
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            RAW => Some(Self::Raw),
            DAG_PB => Some(Self::DagPb),
            DAG_CBOR => Some(Self::DagCbor),
            DAG_JSON => Some(Self::DagJson),
            _ => None,
        }
    }

    /// Its multicodec code.
    pub const fn code(self) -> u64 {
        match self {
            Self::Raw => RAW,
            Self::DagPb => DAG_PB,
            Self::DagCbor => DAG_CBOR,
            Self::DagJson => DAG_JSON,
        }
    }
}

/// What a CID names whatever its version and base: codec and multihash (as bytes with its code and length).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootKey {
    /// The multicodec code, one of the four of [`Codec`] for a root.
    pub codec: u64,
    /// The whole multihash: code, length, digest.
    pub multihash: Vec<u8>,
}

impl RootKey {
    /// The CID (version 1) for this codec and multihash.
    pub fn to_cid(&self) -> Result<cid::Cid, CidError> {
        let multihash = multihash::Multihash::from_bytes(&self.multihash).map_err(|_| CidError::Malformed)?;
        Ok(cid::Cid::new_v1(self.codec, multihash))
    }
}

impl From<&cid::Cid> for RootKey {
    fn from(cid: &cid::Cid) -> Self {
        Self { codec: cid.codec(), multihash: cid.hash().to_bytes() }
    }
}

impl fmt::Display for RootKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_cid() {
            Ok(cid) => cid.fmt(formatter),
            Err(_) => write!(formatter, "invalid root of codec {:#x}", self.codec),
        }
    }
}

/// A CID that can be pinned, with the text that the client sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cid {
    text: String,
    cid: cid::Cid,
}

/// Why a text is not the CID of something that can be pinned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CidError {
    /// Not a CID at all, or one with trailing bytes.
    #[error(
        "not a CID, wanted one of version 0 or 1 such as bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
    )]
    Malformed,
    /// A multibase that Go clients cannot read back in a list.
    #[error("unsupported multibase {0:?}, wanted base16, base32, base36, base58btc or base64")]
    UnsupportedBase(char),
    /// A codec outside the four.
    #[error("unsupported codec {0:#x}, wanted raw (0x55), dag-pb (0x70), dag-cbor (0x71) or dag-json (0x129)")]
    UnsupportedCodec(u64),
    /// An IPNS name: its target moves, so it cannot be pinned.
    #[error("this is an IPNS name (codec libp2p-key, 0x72), which cannot be pinned, send the CID that it points at")]
    Ipns,
    /// A root whose blocks could not be checked: its hash function, or the length of its digest.
    #[error(
        "the CID is hashed with {0}, with which content is not checked here, wanted sha2-256, sha2-512, sha3, \
         blake2b-256 or blake3 with a digest of at least 20 bytes, or identity"
    )]
    UnsupportedHash(String),
    /// A digest that our hash functions and other nodes do not hold.
    #[error("the digest has {0} bytes, wanted at most 64")]
    DigestTooLong(u64),
    /// A CID longer than other nodes accept (in bytes, or in characters of a text that was not decoded).
    #[error("the CID has a length of {0}, wanted at most 168 bytes")]
    TooLong(usize),
}

impl CidError {
    /// The kind of failure that the client is told.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Malformed => Reason::BadRequest,
            Self::UnsupportedCodec(_) => Reason::UnsupportedCodec,
            Self::Ipns => Reason::IpnsNotSupported,
            Self::UnsupportedBase(_) | Self::UnsupportedHash(_) | Self::DigestTooLong(_) | Self::TooLong(_) => {
                Reason::UnsupportedCid
            }
        }
    }
}

impl Cid {
    /// Read a CID in any base that Kubo reads; see [`CidError`] for what is refused.
    pub fn parse(text: &str) -> Result<Self, CidError> {
        let cid = Self::decode(text)?;
        if let Some(base @ ('7' | '9' | 'h' | 'R' | '\0')) = text.chars().next() {
            return Err(CidError::UnsupportedBase(base));
        }
        match cid.codec() {
            LIBP2P_KEY => Err(CidError::Ipns),
            code if Codec::from_code(code).is_none() => Err(CidError::UnsupportedCodec(code)),
            _ => Ok(Self { text: text.to_owned(), cid }),
        }
    }

    /// Read a CID whatever its codec and base, for filters: a codec that is never pinned matches nothing.
    pub fn parse_any_codec(text: &str) -> Result<RootKey, CidError> {
        Self::decode(text).map(|cid| RootKey::from(&cid))
    }

    fn decode(text: &str) -> Result<cid::Cid, CidError> {
        if text.len() > MAX_CID_TEXT {
            return Err(CidError::TooLong(text.len()));
        }
        if text.len() == 46 && text.starts_with("Qm") {
            return cid::Cid::try_from(text).map_err(|_| CidError::Malformed);
        }
        let (_, bytes) = multibase::decode(one_case(text)).map_err(|_| CidError::Malformed)?;
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Result<cid::Cid, CidError> {
        if bytes.len() > MAX_CID_BYTES {
            return Err(CidError::TooLong(bytes.len()));
        }
        if bytes.first() != Some(&1) {
            // A version 0 in a multibase is one of these: its first byte is that of its hash.
            return Err(CidError::Malformed);
        }
        if let Some(length) = digest_length(bytes).filter(|length| *length > 64) {
            return Err(CidError::DigestTooLong(length));
        }
        let mut rest = bytes;
        let cid = cid::Cid::read_bytes(&mut rest).map_err(|_| CidError::Malformed)?;
        if rest.is_empty() && cid.version() == cid::Version::V1 { Ok(cid) } else { Err(CidError::Malformed) }
    }

    /// Whether the content under it can be held against it: a root that could only fail is better refused.
    ///
    /// [`Self::parse`] does not ask, since what was accepted once has to be readable for ever.
    pub fn check_hash(&self) -> Result<(), CidError> {
        let hash = self.cid.hash();
        hash::check_hash(hash.code(), hash.size()).map_err(CidError::UnsupportedHash)
    }

    /// The text exactly as it was sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed CID.
    pub fn inner(&self) -> &cid::Cid {
        &self.cid
    }

    /// What it names: codec and multihash.
    pub fn root(&self) -> RootKey {
        RootKey::from(&self.cid)
    }

    /// Its text in version 1 and base32, the one form that policies compare.
    pub fn to_v1_base32(&self) -> String {
        cid::Cid::new_v1(self.cid.codec(), *self.cid.hash()).to_string()
    }

    /// Whether the CID holds its whole content: an identity digest of codec raw.
    pub fn is_whole(&self) -> bool {
        self.cid.hash().code() == IDENTITY && self.cid.codec() == Codec::Raw.code()
    }
}

/// The text in the case that its base prescribes: Go reads either case of base16, base32 and base36.
fn one_case(text: &str) -> Cow<'_, str> {
    match text.as_bytes().first() {
        Some(b'f' | b'b' | b'c' | b'v' | b't' | b'k') => Cow::Owned(text.to_ascii_lowercase()),
        Some(b'F' | b'B' | b'C' | b'V' | b'T' | b'K') => Cow::Owned(text.to_ascii_uppercase()),
        _ => Cow::Borrowed(text),
    }
}

/// The digest length that a binary CIDv1 declares, read before a parser that only holds 64 bytes.
fn digest_length(bytes: &[u8]) -> Option<u64> {
    let mut rest = bytes;
    let [_version, _codec, _hash, length] = [(); 4].map(|()| {
        let (value, after) = read_varint(rest)?;
        rest = after;
        Some(value)
    });
    length
}

fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(9).position(|byte| byte & 0x80 == 0)?;
    let value = bytes[..=end].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    Some((value, &bytes[end + 1..]))
}

impl fmt::Display for Cid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
