//! dag-pb nodes and the `UnixFS` data within them, written as other implementations do, byte by byte.

use cid::Cid;
use pinrail_spec::multicodec::MURMUR3_X64_64;
use quick_protobuf::{BytesReader, Writer};

/// A dag-pb node.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// In the order of the block.
    pub links: Vec<Link>,
    /// The `UnixFS` data.
    pub data: Vec<u8>,
}

/// A named link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where to.
    pub cid: Cid,
    /// Empty for the parts of a file.
    pub name: String,
    /// The bytes of all blocks behind it.
    pub total_size: u64,
}

/// What a `UnixFS` node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of a file.
    Raw,
    /// A folder.
    Folder,
    /// A file, or a part of one.
    File,
    /// A link to a path.
    Symlink,
    /// A part of a folder in shards.
    Shard,
    /// Something else.
    Other,
}

/// `UnixFS` data.
#[derive(Debug, PartialEq, Eq)]
pub struct UnixFs<'a> {
    /// What the node is.
    pub kind: Kind,
    /// Bytes within the node.
    pub content: &'a [u8],
}

impl Node {
    /// The block. Links come first, and a name is written even if it is empty.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for link in &self.links {
            let mut fields = Vec::with_capacity(link.name.len() + 64);
            put_bytes(&mut fields, 0x0a, &link.cid.to_bytes());
            put_bytes(&mut fields, 0x12, link.name.as_bytes());
            put_number(&mut fields, 0x18, link.total_size);
            put_bytes(&mut block, 0x12, &fields);
        }
        put_bytes(&mut block, 0x0a, &self.data);
        block
    }

    /// Read a block.
    pub fn decode(block: &[u8]) -> quick_protobuf::Result<Self> {
        let mut node = Self::default();
        let mut reader = BytesReader::from_bytes(block);
        while !reader.is_eof() {
            match reader.next_tag(block)? {
                0x0a => node.data = reader.read_bytes(block)?.to_vec(),
                0x12 => node.links.push(decode_link(reader.read_bytes(block)?)?),
                other => reader.read_unknown(block, other)?,
            }
        }
        Ok(node)
    }
}

fn decode_link(fields: &[u8]) -> quick_protobuf::Result<Link> {
    let mut reader = BytesReader::from_bytes(fields);
    let (mut cid, mut name, mut total_size) = (None, String::new(), 0);
    while !reader.is_eof() {
        match reader.next_tag(fields)? {
            0x0a => cid = Cid::try_from(reader.read_bytes(fields)?).ok(),
            0x12 => reader.read_string(fields)?.clone_into(&mut name),
            0x18 => total_size = reader.read_uint64(fields)?,
            other => reader.read_unknown(fields, other)?,
        }
    }
    let cid = cid.ok_or_else(|| quick_protobuf::Error::Message("a link without a CID".to_owned()))?;
    Ok(Link { cid, name, total_size })
}

/// The data of a file whose parts have these sizes.
pub fn file_data(sizes: &[u64]) -> Vec<u8> {
    let mut data = vec![0x08, 2];
    put_number(&mut data, 0x18, sizes.iter().sum());
    for size in sizes {
        put_number(&mut data, 0x20, *size);
    }
    data
}

/// The data of a folder.
pub fn folder_data() -> Vec<u8> {
    vec![0x08, 1]
}

/// The data of a shard with 256 places, those that are taken as bits of a big-endian number.
pub fn shard_data(places: &[u8; 32]) -> Vec<u8> {
    let leading = places.iter().take_while(|byte| **byte == 0).count();
    let mut data = vec![0x08, 5];
    put_bytes(&mut data, 0x12, &places[leading..]);
    put_number(&mut data, 0x28, MURMUR3_X64_64);
    put_number(&mut data, 0x30, 256);
    data
}

impl<'a> UnixFs<'a> {
    /// Read the data of a node.
    pub fn decode(data: &'a [u8]) -> quick_protobuf::Result<Self> {
        let (mut kind, mut content) = (Kind::Other, &[][..]);
        let mut reader = BytesReader::from_bytes(data);
        while !reader.is_eof() {
            match reader.next_tag(data)? {
                0x08 => kind = read_kind(reader.read_int32(data)?),
                0x12 => content = reader.read_bytes(data)?,
                other => reader.read_unknown(data, other)?,
            }
        }
        Ok(Self { kind, content })
    }
}

fn read_kind(number: i32) -> Kind {
    match number {
        0 => Kind::Raw,
        1 => Kind::Folder,
        2 => Kind::File,
        4 => Kind::Symlink,
        5 => Kind::Shard,
        _ => Kind::Other,
    }
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    put_number(out, tag, bytes.len() as u64);
    out.extend(bytes);
}

fn put_number(out: &mut Vec<u8>, tag: u8, number: u64) {
    out.push(tag);
    Writer::new(out).write_varint(number).expect("writing to memory cannot fail");
}
