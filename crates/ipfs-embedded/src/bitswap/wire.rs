//! Bitswap messages as they travel: protobuf with a length before it.
//!
//! Blocks are slices of the message's own buffer, so that a block's bytes are copied only once, by the store.

use bytes::Bytes;
use cid::Cid;
use futures::{AsyncRead, AsyncReadExt};
use quick_protobuf::{BytesReader, Writer};
use std::io;
use std::time::Duration;

use thiserror::Error;

/// The largest message that is read, as other nodes have it.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// More blocks, wants or presences than this in one message are an error: a peer may keep 1,024 wants with us, and we
/// ask one for fewer.
const MAX_ITEMS: usize = 4_096;
/// More protobuf fields than this in one message are an error, wherever in it they stand.
const MAX_FIELDS: usize = 1 << 16;

/// A message of this size carries blocks rather than wants.
pub const LARGE_MESSAGE_BYTES: usize = 16 << 10;

/// What is wanted of a CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantKind {
    /// The block itself.
    Block,
    /// Only whether it is there.
    Have,
}

/// One line of a wantlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantEntry {
    /// The peer wants this.
    Want {
        /// What it is about.
        cid: Cid,
        /// Whether the block or only the word is wanted.
        kind: WantKind,
        /// Whether to say so when we do not have it.
        send_dont_have: bool,
    },
    /// The peer wants this no longer.
    Cancel(Cid),
}

/// A block as received: nothing is known of it before it is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireBlock {
    /// The multihash code that the sender's prefix names.
    pub hash_code: u64,
    /// The length of the digest.
    pub digest_size: usize,
    /// The content.
    pub bytes: Bytes,
}

/// A message of any version of bitswap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The sender's wants and cancels.
    pub entries: Vec<WantEntry>,
    /// Whether the entries replace all former ones.
    pub full: bool,
    /// Blocks.
    pub blocks: Vec<WireBlock>,
    /// Whether the sender has what we asked for.
    pub presences: Vec<(Cid, bool)>,
}

/// Read a message of `length` bytes; `heard` is told how many came each time.
pub async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    length: usize,
    mut heard: impl FnMut(usize),
) -> io::Result<Bytes> {
    // Zeroed pages are only taken from the system once they are written to, so a claimed length costs nothing.
    let mut buffer = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                filled += read;
                heard(read);
            }
        }
    }
    Ok(buffer.into())
}

/// Read the length of the next message; none at the end of the stream, an error if it is over 4 MiB or if it does not
/// follow within `limit` once it has begun.
pub async fn read_length(stream: &mut (impl AsyncRead + Unpin), limit: Duration) -> io::Result<Option<usize>> {
    let mut byte = [0];
    match stream.read(&mut byte).await? {
        0 => Ok(None),
        _ => tokio::time::timeout(limit, read_length_after(stream, byte[0])).await?.map(Some),
    }
}

async fn read_length_after(stream: &mut (impl AsyncRead + Unpin), first: u8) -> io::Result<usize> {
    let (mut length, mut byte) = (0, [first]);
    for index in 0..4 {
        if index > 0 {
            stream.read_exact(&mut byte).await?;
        }
        length |= usize::from(byte[0] & 0x7f) << (7 * index);
        if byte[0] & 0x80 == 0 {
            return if length <= MAX_MESSAGE_BYTES { Ok(length) } else { Err(too_large()) };
        }
    }
    Err(too_large())
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message of more than 4 MiB")
}

/// Why bytes are no message.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// They are no protobuf.
    #[error(transparent)]
    Protobuf(#[from] quick_protobuf::Error),
    /// They hold more than an honest peer sends.
    #[error("a message of more than {MAX_ITEMS} blocks, wants or presences, or {MAX_FIELDS} fields")]
    TooMany,
}

/// Reads the fields of one message and of all that is within, which are counted together.
struct Fields(usize);

impl Fields {
    fn next(&mut self, reader: &mut BytesReader, bytes: &[u8]) -> Result<Option<u32>, DecodeError> {
        if reader.is_eof() {
            return Ok(None);
        }
        self.0 = self.0.checked_sub(1).ok_or(DecodeError::TooMany)?;
        Ok(Some(reader.next_tag(bytes)?))
    }
}

impl Message {
    /// Read a message. What cannot be understood of it, such as a CID with too long a digest, is left out.
    pub fn decode(frame: &Bytes) -> Result<Self, DecodeError> {
        let mut message = Self::default();
        let (mut reader, mut fields) = (BytesReader::from_bytes(frame), Fields(MAX_FIELDS));
        while let Some(tag) = fields.next(&mut reader, frame)? {
            match tag {
                0x0a => message.read_wantlist(&mut fields, reader.read_bytes(frame)?)?,
                0x12 => {
                    // The blocks of bitswap 1.0.0 are those of CIDs of version 0.
                    let bytes = slice(frame, reader.read_bytes(frame)?);
                    push(&mut message.blocks, WireBlock { hash_code: 0x12, digest_size: 32, bytes })?;
                }
                0x1a => push(&mut message.blocks, read_block(&mut fields, frame, reader.read_bytes(frame)?)?)?,
                0x22 => {
                    let presence = read_presence(&mut fields, reader.read_bytes(frame)?)?;
                    presence.map_or(Ok(()), |presence| push(&mut message.presences, presence))?;
                }
                other => reader.read_unknown(frame, other)?,
            }
        }
        Ok(message)
    }

    fn read_wantlist(&mut self, fields: &mut Fields, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut reader = BytesReader::from_bytes(bytes);
        while let Some(tag) = fields.next(&mut reader, bytes)? {
            match tag {
                0x0a => {
                    let entry = read_entry(fields, reader.read_bytes(bytes)?)?;
                    entry.map_or(Ok(()), |entry| push(&mut self.entries, entry))?;
                }
                0x10 => self.full = reader.read_bool(bytes)?,
                other => reader.read_unknown(bytes, other)?,
            }
        }
        Ok(())
    }
}

fn push<T>(items: &mut Vec<T>, item: T) -> Result<(), DecodeError> {
    if items.len() >= MAX_ITEMS {
        return Err(DecodeError::TooMany);
    }
    items.push(item);
    Ok(())
}

/// A part of the frame; an empty one is none of its buffer's.
fn slice(frame: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() { Bytes::new() } else { frame.slice_ref(part) }
}

fn read_entry(fields: &mut Fields, bytes: &[u8]) -> Result<Option<WantEntry>, DecodeError> {
    let mut reader = BytesReader::from_bytes(bytes);
    let (mut cid, mut cancel, mut kind, mut send_dont_have) = (None, false, WantKind::Block, false);
    while let Some(tag) = fields.next(&mut reader, bytes)? {
        match tag {
            0x0a => cid = Cid::try_from(reader.read_bytes(bytes)?).ok(),
            0x18 => cancel = reader.read_bool(bytes)?,
            0x20 => kind = if reader.read_int32(bytes)? == 1 { WantKind::Have } else { WantKind::Block },
            0x28 => send_dont_have = reader.read_bool(bytes)?,
            other => reader.read_unknown(bytes, other)?,
        }
    }
    Ok(cid.map(|cid| if cancel { WantEntry::Cancel(cid) } else { WantEntry::Want { cid, kind, send_dont_have } }))
}

fn read_block(fields: &mut Fields, frame: &Bytes, bytes: &[u8]) -> Result<WireBlock, DecodeError> {
    let mut reader = BytesReader::from_bytes(bytes);
    let (mut prefix, mut data) = (&[][..], &[][..]);
    while let Some(tag) = fields.next(&mut reader, bytes)? {
        match tag {
            0x0a => prefix = reader.read_bytes(bytes)?,
            0x12 => data = reader.read_bytes(bytes)?,
            other => reader.read_unknown(bytes, other)?,
        }
    }
    let mut reader = BytesReader::from_bytes(prefix);
    let (_version, _codec) = (reader.read_varint64(prefix)?, reader.read_varint64(prefix)?);
    let (hash_code, size) = (reader.read_varint64(prefix)?, reader.read_varint64(prefix)?);
    let digest_size = usize::try_from(size).unwrap_or(usize::MAX);
    Ok(WireBlock { hash_code, digest_size, bytes: slice(frame, data) })
}

fn read_presence(fields: &mut Fields, bytes: &[u8]) -> Result<Option<(Cid, bool)>, DecodeError> {
    let mut reader = BytesReader::from_bytes(bytes);
    let (mut cid, mut have) = (None, true);
    while let Some(tag) = fields.next(&mut reader, bytes)? {
        match tag {
            0x0a => cid = Cid::try_from(reader.read_bytes(bytes)?).ok(),
            0x10 => have = reader.read_int32(bytes)? == 0,
            other => reader.read_unknown(bytes, other)?,
        }
    }
    Ok(cid.map(|cid| (cid, have)))
}

/// A message of wants and cancels, with its length before it.
pub fn encode_wantlist<'a>(entries: impl IntoIterator<Item = &'a WantEntry>) -> Vec<u8> {
    let mut list = Vec::new();
    for entry in entries {
        put_bytes(&mut list, 0x0a, &encode_entry(entry));
    }
    let mut body = Vec::with_capacity(list.len() + 8);
    put_bytes(&mut body, 0x0a, &list);
    let mut message = Vec::with_capacity(body.len() + 8);
    put_varint(&mut message, body.len());
    message.extend(body);
    message
}

fn encode_entry(entry: &WantEntry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    match entry {
        WantEntry::Cancel(cid) => {
            put_bytes(&mut bytes, 0x0a, &cid.to_bytes());
            bytes.extend([0x10, 1, 0x18, 1]);
        }
        WantEntry::Want { cid, kind, send_dont_have } => {
            put_bytes(&mut bytes, 0x0a, &cid.to_bytes());
            bytes.extend([0x10, 1]);
            if *kind == WantKind::Have {
                bytes.extend([0x20, 1]);
            }
            if *send_dont_have {
                bytes.extend([0x28, 1]);
            }
        }
    }
    bytes
}

/// What goes before a block's content inside a message; the content follows as it is.
pub fn block_header(cid: &Cid, size: usize) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(16);
    for part in [cid.version() as u64, cid.codec(), cid.hash().code(), cid.hash().size().into()] {
        put_u64(&mut prefix, part);
    }
    let mut fields = Vec::with_capacity(32);
    put_bytes(&mut fields, 0x0a, &prefix);
    fields.push(0x12);
    put_varint(&mut fields, size);
    let mut header = Vec::with_capacity(48);
    header.push(0x1a);
    put_varint(&mut header, fields.len() + size);
    header.extend(fields);
    header
}

/// What goes before a block's content in a message of bitswap 1.0.0.
pub fn legacy_block_header(size: usize) -> Vec<u8> {
    let mut header = vec![0x12];
    put_varint(&mut header, size);
    header
}

/// One line that says whether we have a block.
pub fn encode_presence(cid: &Cid, have: bool) -> Vec<u8> {
    let mut fields = Vec::with_capacity(64);
    put_bytes(&mut fields, 0x0a, &cid.to_bytes());
    if !have {
        fields.extend([0x10, 1]);
    }
    let mut line = Vec::with_capacity(fields.len() + 4);
    put_bytes(&mut line, 0x22, &fields);
    line
}

/// The length that goes before a message.
pub fn length_prefix(length: usize) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(4);
    put_varint(&mut prefix, length);
    prefix
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len());
    out.extend(bytes);
}

fn put_varint(out: &mut Vec<u8>, value: usize) {
    put_u64(out, value as u64);
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    Writer::new(out).write_varint(value).expect("writing to memory cannot fail");
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
