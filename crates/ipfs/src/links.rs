//! The links of a block: the one place that knows libipld, which is deprecated (see `docs/decisions`).

mod dag_cbor;
mod dag_json;
mod dag_pb;

use cid::Cid;
use libipld::Ipld;
use libipld::codec::References;
use libipld::pb::DagPbCodec;
use pinrail_spec::multicodec::{CBOR, DAG_CBOR, DAG_JSON, DAG_PB, JSON, RAW};
use std::io::Cursor;
use thiserror::Error;

/// The codecs of the blocks that [`links`] reads.
pub const READABLE_CODECS: [u64; 6] = [RAW, DAG_PB, DAG_CBOR, DAG_JSON, CBOR, JSON];

/// The longest digest that a [`Cid`] holds.
const MAX_DIGEST_BYTES: u64 = 64;
/// The deepest nesting of lists and maps that Kubo reads.
const MAX_DEPTH: usize = 1_024;

/// Why the links of a block cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LinksError {
    /// A codec whose blocks we cannot read.
    #[error(
        "unsupported codec {0:#x}, wanted raw (0x55), dag-pb (0x70), dag-cbor (0x71), dag-json (0x129), or a leaf of \
         cbor (0x51) or json (0x200)"
    )]
    UnsupportedCodec(u64),
    /// Bytes that are not a block of the codec.
    #[error("not a well-formed block of its codec: {0}")]
    Malformed(String),
    /// A link to a CID that cannot be held.
    #[error("it links to a CID whose digest has {0} bytes, wanted at most 64")]
    DigestTooLong(u64),
}

/// The links of a block, in its order and with repetitions.
///
/// Call it only for bytes that were held against their CID. It reads what Kubo 0.42 reads, and nesting costs no stack.
/// Blocks of plain cbor and json are leaves, whatever they hold.
pub fn links(codec: u64, bytes: &[u8]) -> Result<Vec<Cid>, LinksError> {
    match codec {
        RAW | CBOR | JSON => Ok(Vec::new()),
        // libipld refuses link names that are not UTF-8.
        DAG_PB => read_with_libipld(bytes).or_else(|_| dag_pb::links(bytes)),
        // libipld's readers of these two lose links, and read what Kubo refuses: see decision 0002.
        DAG_CBOR => dag_cbor::links(bytes),
        DAG_JSON => dag_json::links(bytes),
        other => Err(LinksError::UnsupportedCodec(other)),
    }
}

fn read_with_libipld(bytes: &[u8]) -> Result<Vec<Cid>, LinksError> {
    let mut found: Vec<libipld::Cid> = Vec::new();
    let read = <Ipld as References<_>>::references(DagPbCodec, &mut Cursor::new(bytes), &mut found);
    read.map_err(|error| malformed(error.to_string()))?;
    // The same CIDs in the version of the `cid` crate that the other crates use.
    found.iter().map(|link| whole_cid(&link.to_bytes())).collect()
}

/// The CID at the head of `bytes`, and what follows it.
fn read_cid(bytes: &[u8]) -> Result<(Cid, &[u8]), LinksError> {
    let mut rest = bytes;
    match Cid::read_bytes(&mut rest) {
        Ok(cid) => Ok((cid, rest)),
        Err(error) => Err(match digest_length(bytes) {
            Some(size) if size > MAX_DIGEST_BYTES => LinksError::DigestTooLong(size),
            _ => malformed(format!("a link is not a CID: {error}").to_lowercase()),
        }),
    }
}

/// The CID that `bytes` are, with nothing behind it.
fn whole_cid(bytes: &[u8]) -> Result<Cid, LinksError> {
    match read_cid(bytes)? {
        (cid, []) => Ok(cid),
        (cid, rest) => Err(malformed(format!("a link to {cid} has {} bytes too many", rest.len()))),
    }
}

/// The length of the digest of a CID of version 1 that is there whole.
fn digest_length(cid: &[u8]) -> Option<u64> {
    let mut rest = cid.strip_prefix(&[1])?;
    let (_codec, _function) = (read_varint(&mut rest)?, read_varint(&mut rest)?);
    let size = read_varint(&mut rest)?;
    (rest.len() as u64 >= size).then_some(size)
}

/// An unsigned varint at the head of `bytes`, which are cut to what follows it.
fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let low = u64::from(byte & 0x7f);
        value |= low << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return (low << (7 * index) >> (7 * index) == low).then_some(value);
        }
    }
    None
}

/// Cut `length` bytes off the head of `bytes`.
fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Result<&'a [u8], LinksError> {
    let (head, rest) = usize::try_from(length)
        .ok()
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or_else(|| malformed(format!("it ends {} bytes too early", length - bytes.len() as u64)))?;
    *bytes = rest;
    Ok(head)
}

fn malformed(why: impl Into<String>) -> LinksError {
    LinksError::Malformed(why.into())
}

/// Refuse a map in which a key comes twice; sorts `keys`.
fn refuse_duplicates<K: Ord>(keys: &mut [K]) -> Result<(), LinksError> {
    keys.sort_unstable();
    let repeated = keys.windows(2).any(|pair| pair[0] == pair[1]);
    if repeated { Err(malformed("a map has the same key twice")) } else { Ok(()) }
}

/// Refuse to open one more list or map in `open` of them.
fn refuse_depth(open: usize) -> Result<(), LinksError> {
    if open < MAX_DEPTH {
        return Ok(());
    }
    Err(malformed(format!("lists and maps are nested deeper than {MAX_DEPTH}")))
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
