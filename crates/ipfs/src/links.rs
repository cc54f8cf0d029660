//! The links of a block: the one place that knows libipld, which is deprecated (see `docs/decisions`).

use cid::Cid;
use libipld::cbor::DagCborCodec;
use libipld::codec::References;
use libipld::json::DagJsonCodec;
use libipld::pb::DagPbCodec;
use libipld::{Ipld, multibase};
use std::io::Cursor;
use thiserror::Error;

const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;
const DAG_CBOR: u64 = 0x71;
const DAG_JSON: u64 = 0x0129;

/// The longest digest that a [`Cid`] holds.
const MAX_DIGEST_BYTES: u64 = 64;

/// Why the links of a block cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LinksError {
    /// A codec whose blocks we cannot read.
    #[error("unsupported codec {0:#x}, wanted raw (0x55), dag-pb (0x70), dag-cbor (0x71) or dag-json (0x129)")]
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
/// Call it only for bytes that were held against their CID. Nesting costs no stack: `references` of libipld counts
/// what remains where its `decode` would recurse until the process aborts.
pub fn links(codec: u64, bytes: &[u8]) -> Result<Vec<Cid>, LinksError> {
    let mut found = Vec::new();
    let mut cursor = Cursor::new(bytes);
    let read = match codec {
        RAW => return Ok(Vec::new()),
        DAG_PB => <Ipld as References<_>>::references(DagPbCodec, &mut cursor, &mut found),
        DAG_CBOR => <Ipld as References<_>>::references(DagCborCodec, &mut cursor, &mut found),
        DAG_JSON => <Ipld as References<_>>::references(DagJsonCodec, &mut cursor, &mut found),
        other => return Err(LinksError::UnsupportedCodec(other)),
    };
    if let Err(error) = read {
        return Err(match find_long_digest(codec, bytes) {
            Some(size) => LinksError::DigestTooLong(size),
            None => LinksError::Malformed(describe(&error.to_string())),
        });
    }
    // `references` seeks over strings without looking whether they are there, and stops after the first item.
    if codec == DAG_CBOR && cursor.position() != bytes.len() as u64 {
        let end = cursor.position();
        return Err(LinksError::Malformed(format!("it ends at byte {end}, but has {} bytes", bytes.len())));
    }
    found.iter().map(convert).collect()
}

/// What libipld says, without the name of the type that it was reading.
fn describe(error: &str) -> String {
    let what = error.split(" when decoding").next().unwrap_or(error);
    what.trim_end_matches('.').replace('`', "").to_lowercase()
}

/// The same CID in the version of the `cid` crate that the other crates use.
fn convert(link: &libipld::Cid) -> Result<Cid, LinksError> {
    Cid::try_from(link.to_bytes()).map_err(|error| LinksError::Malformed(error.to_string().to_lowercase()))
}

/// The length of the first digest of more than 64 bytes in a block that libipld refused without saying why.
fn find_long_digest(codec: u64, bytes: &[u8]) -> Option<u64> {
    if codec == DAG_JSON {
        let text = std::str::from_utf8(bytes).ok()?;
        return text.split('"').filter_map(|word| multibase::decode(word).ok()).find_map(|(_, cid)| long_digest(&cid));
    }
    // A link in dag-cbor is a byte string that begins with 0, a link in dag-pb a field with its length before it.
    let before: fn(&[u8], usize) -> bool = match codec {
        DAG_CBOR => |head, _| head.ends_with(&[0]),
        _ => |head, length| head.ends_with(&length_prefix(length)),
    };
    (0..bytes.len()).filter(|&start| bytes[start] == 1).find_map(|start| {
        let (size, length) = read_long_digest(&bytes[start..])?;
        before(&bytes[..start], length).then_some(size)
    })
}

/// The digest's length if `cid` is nothing but a CID with a digest of more than 64 bytes.
fn long_digest(cid: &[u8]) -> Option<u64> {
    read_long_digest(cid).filter(|&(_, length)| length == cid.len()).map(|(size, _)| size)
}

/// The length of the digest and of the whole CID of version 1 at the head of `bytes`, if the digest is too long.
fn read_long_digest(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut rest = bytes.strip_prefix(&[1])?;
    let mut size = 0;
    for _codec_code_size in 0..3 {
        (size, rest) = read_varint(rest)?;
    }
    let header = bytes.len() - rest.len();
    let length = header + usize::try_from(size).ok()?;
    (size > MAX_DIGEST_BYTES && rest.len() as u64 >= size).then_some((size, length))
}

fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// `length` as the varint that precedes a field of protobuf.
fn length_prefix(mut length: usize) -> Vec<u8> {
    let mut prefix = Vec::new();
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        if length == 0 {
            prefix.push(low);
            return prefix;
        }
        prefix.push(low | 0x80);
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
