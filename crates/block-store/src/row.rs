//! What the index keeps in its rows, and how it looks as bytes.
use pinrail_domain::DagSize;
use unsigned_varint::{decode, encode};

use crate::key::{NodeKey, multihash_bytes};

/// Where a record lies, and what is needed to trust what is read there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The segment's number.
    pub segment: u32,
    /// Where the record begins in the segment.
    pub offset: u64,
    /// Bytes of the record before the block.
    pub head: u32,
    /// Bytes of the block.
    pub size: u32,
    /// CRC-32 of the block.
    pub crc: u32,
}

impl Place {
    /// Where the block begins in the segment.
    pub fn body(&self) -> u64 {
        self.offset + u64::from(self.head)
    }

    /// The whole record's length.
    pub fn length(&self) -> u64 {
        u64::from(self.head) + u64::from(self.size)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.segment.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.head.to_be_bytes());
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend_from_slice(&self.crc.to_be_bytes());
    }

    fn read(input: &mut Reader<'_>) -> Option<Place> {
        Some(Place {
            segment: input.u32()?,
            offset: input.u64()?,
            head: input.u32()?,
            size: input.u32()?,
            crc: input.u32()?,
        })
    }
}

/// All that is known of one multihash: where its bytes are, and the nodes that they are read as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The bytes, when they are in a segment.
    pub place: Option<Place>,
    /// The nodes, committed ones and those that are only linked to.
    pub nodes: Vec<Reading>,
}

/// One codec under which a block is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The codec.
    pub codec: u64,
    /// The node's number.
    pub id: u64,
    /// Whether its links are known and counted.
    pub known: bool,
}

impl Block {
    /// The node with this codec.
    pub fn reading(&self, codec: u64) -> Option<&Reading> {
        self.nodes.iter().find(|reading| reading.codec == codec)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(25 + 17 * self.nodes.len());
        write_option(self.place.as_ref(), &mut out);
        for reading in &self.nodes {
            out.extend_from_slice(&reading.codec.to_be_bytes());
            out.extend_from_slice(&reading.id.to_be_bytes());
            out.push(u8::from(reading.known));
        }
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Block> {
        let mut input = Reader(bytes);
        let place = read_option(&mut input)?;
        let mut nodes = Vec::with_capacity(1);
        while !input.0.is_empty() {
            nodes.push(Reading { codec: input.u64()?, id: input.u64()?, known: input.u8()? != 0 });
        }
        Some(Block { place, nodes })
    }
}

/// A node: the row that its number leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name.
    pub key: NodeKey,
    /// What is known since it was committed; a node that is only linked to has none.
    pub known: Option<Known>,
}

/// What is known of a committed node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Whether its bytes are there; damaged ones are given up, the links stay counted.
    pub present: bool,
    /// The block's length.
    pub size: u32,
    /// The record that holds the links alone, when the bytes came with another node.
    pub record: Option<Place>,
    /// The numbers of the distinct nodes that it links to, in the order of the links.
    pub links: Vec<u64>,
}

impl Node {
    /// The row's bytes; links are written as differences, since those of one node were mostly
    /// numbered together.
    pub fn to_bytes(&self, id: u64) -> Vec<u8> {
        let key = multihash_bytes(&self.key.multihash);
        let mut out = Vec::with_capacity(key.len() + 16);
        out.extend_from_slice(&self.key.codec.to_be_bytes());
        out.push(u8::try_from(key.len()).expect("a multihash of 64 bytes is under 256"));
        out.extend_from_slice(&key);
        let Some(known) = &self.known else {
            return out;
        };
        out.push(u8::from(known.present));
        out.extend_from_slice(&known.size.to_be_bytes());
        write_option(known.record.as_ref(), &mut out);
        let mut last = id;
        let mut buffer = encode::u64_buffer();
        for link in &known.links {
            let step = zigzag(link.wrapping_sub(last).cast_signed());
            out.extend_from_slice(encode::u64(step, &mut buffer));
            last = *link;
        }
        out
    }

    pub fn from_bytes(id: u64, bytes: &[u8]) -> Option<Node> {
        let mut input = Reader(bytes);
        let codec = input.u64()?;
        let length = usize::from(input.u8()?);
        let multihash = cid::multihash::Multihash::from_bytes(input.take(length)?).ok()?;
        let key = NodeKey { codec, multihash };
        if input.0.is_empty() {
            return Some(Node { key, known: None });
        }
        let present = input.u8()? != 0;
        let size = input.u32()?;
        let record = read_option(&mut input)?;
        let mut links = Vec::new();
        let mut last = id;
        while !input.0.is_empty() {
            let (step, rest) = decode::u64(input.0).ok()?;
            last = last.wrapping_add(unzigzag(step).cast_unsigned());
            links.push(last);
            input.0 = rest;
        }
        let known = Some(Known { present, size, record, links });
        Some(Node { key, known })
    }
}

/// Where a root stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It is being fetched.
    Fetching,
    /// It is whole.
    Pinned(DagSize),
    /// Its fetch was given up; its blocks are kept until then, in milliseconds.
    Failed(u64),
    /// It is not held; the row stays for a while to refuse older epochs. Zero: collection has not
    /// yet said until when.
    Released(u64),
}

/// A root's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// The highest epoch that was accepted.
    pub epoch: u64,
    /// Where it stands.
    pub hold: Hold,
}

impl Root {
    /// Whether the root counts for its node.
    pub fn holds(&self) -> bool {
        !matches!(self.hold, Hold::Released(_))
    }

    pub fn to_bytes(self) -> Vec<u8> {
        let (kind, first, second) = match self.hold {
            Hold::Fetching => (0, 0, 0),
            Hold::Pinned(totals) => (1, totals.blocks, totals.bytes),
            Hold::Failed(until) => (2, until, 0),
            Hold::Released(until) => (3, until, 0),
        };
        let mut out = vec![kind];
        for word in [self.epoch, first, second] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Root> {
        let mut input = Reader(bytes);
        let kind = input.u8()?;
        let (epoch, first, second) = (input.u64()?, input.u64()?, input.u64()?);
        let hold = match kind {
            0 => Hold::Fetching,
            1 => Hold::Pinned(DagSize { blocks: first, bytes: second }),
            2 => Hold::Failed(first),
            3 => Hold::Released(first),
            _ => return None,
        };
        Some(Root { epoch, hold })
    }
}

/// Takes numbers off the front of a slice.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.chunk().map(u8::from_be_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_be_bytes)
    }
}

fn write_option(place: Option<&Place>, out: &mut Vec<u8>) {
    out.push(u8::from(place.is_some()));
    if let Some(place) = place {
        place.write(out);
    }
}

#[expect(clippy::option_option, reason = "the outer one says that the bytes end too early, the inner one is the value")]
fn read_option(input: &mut Reader<'_>) -> Option<Option<Place>> {
    match input.u8()? {
        0 => Some(None),
        _ => Place::read(input).map(Some),
    }
}

/// Small differences of either sign as small numbers.
fn zigzag(step: i64) -> u64 {
    ((step << 1) ^ (step >> 63)).cast_unsigned()
}

fn unzigzag(step: u64) -> i64 {
    (step >> 1).cast_signed() ^ -((step & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cid::multihash::Multihash;

    #[test]
    fn rows_survive_their_bytes() {
        let place = Place { segment: 3, offset: 1 << 40, head: 99, size: 262_144, crc: 0xdead_beef };
        let reading = |codec, id, known| Reading { codec, id, known };
        for block in [
            Block::default(),
            Block { place: Some(place), nodes: vec![reading(0x55, 1, true), reading(0x70, 9, false)] },
        ] {
            assert_eq!(Block::from_bytes(&block.to_bytes()), Some(block));
        }
        let key = NodeKey { codec: 0x70, multihash: Multihash::wrap(0x12, &[1; 32]).expect("fits") };
        let links = vec![6, 5, 7, 0, u64::MAX, 1 << 63, 8];
        for record in [None, Some(place)] {
            let known = Some(Known { present: true, size: 7, record, links: links.clone() });
            let node = Node { key, known };
            assert_eq!(Node::from_bytes(5, &node.to_bytes(5)), Some(node));
        }
        let wanted = Node { key, known: None };
        assert_eq!(Node::from_bytes(5, &wanted.to_bytes(5)), Some(wanted));
        let totals = DagSize { blocks: 4, bytes: 5 };
        for hold in [Hold::Fetching, Hold::Pinned(totals), Hold::Failed(9), Hold::Released(0)] {
            let root = Root { epoch: 77, hold };
            assert_eq!(Root::from_bytes(&root.to_bytes()), Some(root));
        }
    }

    #[test]
    fn rows_cut_short_are_refused() {
        let place = Place { segment: 3, offset: 7, head: 99, size: 2, crc: 1 };
        let block = Block { place: Some(place), nodes: Vec::new() }.to_bytes();
        for length in 0..block.len() {
            assert_eq!(Block::from_bytes(&block[..length]), None, "{length}");
        }
        assert_eq!(Root::from_bytes(&[0; 24]), None);
        assert_eq!(Root::from_bytes(&[9; 25]), None);
    }
}
