//! Records: what segments are made of. Each describes itself, so that the index can be made anew.
//!
//! A record is a head and the block. The head is never given back to the file system while its
//! segment lives, so that a scan can step from record to record over holes.
use crate::NodeKey;
use crate::row::Reader;

const MAGIC: [u8; 4] = *b"PRb1";
/// Magic, head length, block length, CRC of the block, CRC of the head.
const FIXED: usize = 20;
/// A head longer than this is damage, not a record: a block of 2 MiB links to fewer nodes.
const HEAD_LIMIT: usize = 64 << 20;

/// What a record says of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The node.
    pub key: NodeKey,
    /// The root that holds the node until its fetch is finished, if no link does.
    pub holder: Option<NodeKey>,
    /// Whether the block follows; otherwise the bytes came with another node, or are the key's.
    pub with_block: bool,
    /// The length of the node's block, also when it does not follow.
    pub size: u32,
    /// The distinct links in their order.
    pub links: Vec<NodeKey>,
}

/// A head as it was found in a segment.
#[derive(Debug)]
pub(crate) struct Head {
    /// What it says.
    pub record: Record,
    /// Its length.
    pub length: u32,
    /// The length of the block that follows.
    pub body: u32,
    /// The block's CRC-32.
    pub crc: u32,
}

/// Writes the head of a record whose block has this CRC.
pub(crate) fn write_head(record: &Record, crc: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED + 64 + 48 * record.links.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    let body = if record.with_block { record.size } else { 0 };
    out.extend_from_slice(&body.to_be_bytes());
    out.extend_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(u8::from(record.with_block) | u8::from(record.holder.is_some()) << 1);
    out.extend_from_slice(&record.size.to_be_bytes());
    for key in [Some(&record.key), record.holder.as_ref()].into_iter().flatten().chain(&record.links) {
        let bytes = key.to_bytes();
        out.push(u8::try_from(bytes.len()).expect("a key is under 256 bytes"));
        out.extend_from_slice(&bytes);
    }
    let length = u32::try_from(out.len()).expect("a head is under 4 GiB");
    out[4..8].copy_from_slice(&length.to_be_bytes());
    let crc = head_crc(&out);
    out[16..20].copy_from_slice(&crc.to_be_bytes());
    out
}

/// How long the head that begins with these bytes is, if it looks like one; its CRC is not looked
/// at yet.
pub(crate) fn head_length(start: &[u8]) -> Option<usize> {
    let mut input = Reader(start);
    let magic = input.take(4)?;
    let length = usize::try_from(input.u32()?).ok()?;
    (magic == MAGIC && (FIXED..=HEAD_LIMIT).contains(&length)).then_some(length)
}

/// Reads a whole head, or finds that it is none.
pub(crate) fn read_head(bytes: &[u8]) -> Option<Head> {
    let mut input = Reader(bytes);
    let _magic = input.take(4)?;
    let length = input.u32()?;
    let body = input.u32()?;
    let crc = input.u32()?;
    if input.u32()? != head_crc(bytes) {
        return None;
    }
    let flags = input.u8()?;
    let size = input.u32()?;
    let key = read_key(&mut input)?;
    let holder = match flags & 2 {
        0 => None,
        _ => Some(read_key(&mut input)?),
    };
    let mut links = Vec::new();
    while !input.0.is_empty() {
        links.push(read_key(&mut input)?);
    }
    let record = Record { key, holder, with_block: flags & 1 != 0, size, links };
    Some(Head { record, length, body, crc })
}

fn read_key(input: &mut Reader<'_>) -> Option<NodeKey> {
    let length = usize::from(input.u8()?);
    NodeKey::from_bytes(input.take(length)?)
}

/// The CRC of a head without its own place.
fn head_crc(head: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..16]);
    hasher.update(&head[FIXED..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cid::multihash::Multihash;

    fn key(codec: u64, byte: u8) -> NodeKey {
        NodeKey { codec, multihash: Multihash::wrap(0x12, &[byte; 32]).expect("digest fits") }
    }

    #[test]
    fn heads_survive_their_bytes_and_no_flipped_bit() {
        let record = Record {
            key: key(0x70, 1),
            holder: Some(key(0x71, 2)),
            with_block: true,
            size: 5,
            links: vec![key(0x55, 3), key(0x70, 4)],
        };
        let bytes = write_head(&record, 17);
        let head = read_head(&bytes).expect("it is a head");
        assert_eq!((head.record, head.body, head.crc), (record, 5, 17));
        assert_eq!(head.length as usize, bytes.len());
        assert_eq!(head_length(&bytes), Some(bytes.len()));
        for bit in 32..bytes.len() * 8 {
            let mut torn = bytes.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            assert!(read_head(&torn).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_head() {
        assert_eq!(head_length(&[0; 8]), None);
        assert!(read_head(&[0; 64]).is_none());
        assert!(read_head(&[0; 3]).is_none());
    }
}
