//! The links of dag-pb, read as go-codec-dagpb reads them: names may have any bytes.

use cid::Cid;

use super::{LinksError, malformed, read_cid, read_varint, take};

/// The tags of a node's fields: number and wire type.
const DATA: u64 = 0x0a;
const LINK: u64 = 0x12;
/// The tags of a link's fields, in the order in which they have to come.
const HASH: u64 = 0x0a;
const NAME: u64 = 0x12;
const SIZE: u64 = 0x18;

/// The links of a node.
///
/// Data may come before or after the links, but once and not between them. Bytes behind a link's CID are passed over.
pub fn links(mut node: &[u8]) -> Result<Vec<Cid>, LinksError> {
    let mut found = Vec::new();
    let (mut has_data, mut had_links) = (false, false);
    while !node.is_empty() {
        match varint(&mut node)? {
            DATA if has_data => return Err(malformed("it has Data twice")),
            DATA => {
                field(&mut node)?;
                (has_data, had_links) = (true, !found.is_empty());
            }
            LINK if had_links => return Err(malformed("it has links before and after Data")),
            LINK => found.push(link(field(&mut node)?)?),
            tag => return Err(malformed(format!("a node has the tag {tag:#x}, wanted Data (0xa) or a link (0x12)"))),
        }
    }
    Ok(found)
}

fn link(mut link: &[u8]) -> Result<Cid, LinksError> {
    let (mut cid, mut last) = (None, 0);
    while !link.is_empty() {
        let tag = varint(&mut link)?;
        if tag <= last {
            return Err(malformed("the fields of a link come twice or out of order"));
        }
        match tag {
            HASH => cid = Some(read_cid(field(&mut link)?)?.0),
            NAME => drop(field(&mut link)?),
            SIZE => drop(varint(&mut link)?),
            tag => return Err(malformed(format!("a link has the tag {tag:#x}, wanted Hash, Name or Tsize"))),
        }
        last = tag;
    }
    cid.ok_or_else(|| malformed("a link has no Hash"))
}

fn varint(bytes: &mut &[u8]) -> Result<u64, LinksError> {
    read_varint(bytes).ok_or_else(|| malformed("a number is cut off or too large"))
}

fn field<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], LinksError> {
    let length = varint(bytes)?;
    take(bytes, length)
}
