//! The links of dag-cbor, read as Kubo 0.42 reads them.
//!
//! Not canonical forms are read: `undefined`, half floats, indefinite lengths, integers that are longer than need be,
//! and strings that are not UTF-8. A key that comes twice, bytes behind the item and nested tags are refused.

use std::borrow::Cow;

use cid::Cid;

use super::{LinksError, malformed, refuse_depth, refuse_duplicates, take, whole_cid};

const LINK_TAG: u64 = 42;
const BREAK: u8 = 0xff;
/// The length is not told; a break ends the item.
const INDEFINITE: u8 = 31;

const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// The links of a block, which is one item.
pub fn links(block: &[u8]) -> Result<Vec<Cid>, LinksError> {
    let mut reader = Reader { rest: block, open: Vec::new(), keys: Vec::new(), found: Vec::new() };
    reader.item()?;
    while let Some(mut innermost) = reader.open.pop() {
        if innermost.is_at_end(&mut reader.rest) {
            reader.close(&innermost)?;
            continue;
        }
        let is_map = innermost.keys.is_some();
        reader.open.push(innermost);
        if is_map {
            let key = reader.key()?;
            reader.keys.push(key);
        }
        reader.item()?;
    }
    match reader.rest.len() {
        0 => Ok(reader.found),
        more => Err(malformed(format!("it ends at byte {}, but has {} bytes", block.len() - more, block.len()))),
    }
}

/// A list or a map whose end was not read yet.
struct Open {
    /// Items of a list or entries of a map that follow; none if a break ends it.
    left: Option<u64>,
    /// Where the keys of a map begin in [`Reader::keys`].
    keys: Option<usize>,
}

impl Open {
    /// Whether nothing follows in it; counts what follows.
    fn is_at_end(&mut self, rest: &mut &[u8]) -> bool {
        match &mut self.left {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => rest.strip_prefix(&[BREAK]).inspect(|after| *rest = after).is_some(),
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    open: Vec<Open>,
    /// The keys of all open maps, the outermost first.
    keys: Vec<Cow<'a, [u8]>>,
    found: Vec<Cid>,
}

impl<'a> Reader<'a> {
    /// Read one item; of a list or a map only its head.
    fn item(&mut self) -> Result<(), LinksError> {
        let (tag, major, info) = self.head()?;
        if tag == Some(LINK_TAG) && major != BYTES {
            return Err(malformed("tag 42 is not on bytes, wanted a link"));
        }
        match major {
            BYTES => {
                let bytes = self.string(BYTES, info)?;
                match tag {
                    None => Ok(()),
                    Some(LINK_TAG) => self.link(&bytes),
                    Some(tag) => Err(malformed(format!("bytes have the tag {tag}, wanted 42 or none"))),
                }
            }
            TEXT => self.string(TEXT, info).map(drop),
            LIST => self.open(info, None),
            MAP => self.open(info, Some(self.keys.len())),
            7 => self.simple(info),
            _ => self.argument(info).map(drop),
        }
    }

    /// The tag of an item if it has one, its major type and the other five bits of its first byte.
    fn head(&mut self) -> Result<(Option<u64>, u8, u8), LinksError> {
        let (major, info) = self.byte()?;
        if major != TAG {
            return Ok((None, major, info));
        }
        let tag = self.argument(info)?;
        match self.byte()? {
            (TAG, _) => Err(malformed("a tag on a tag")),
            (major, info) => Ok((Some(tag), major, info)),
        }
    }

    fn byte(&mut self) -> Result<(u8, u8), LinksError> {
        let byte = take(&mut self.rest, 1)?[0];
        Ok((byte >> 5, byte & 0x1f))
    }

    /// The number that `info` is or announces.
    fn argument(&mut self, info: u8) -> Result<u64, LinksError> {
        let size = match info {
            0..=23 => return Ok(info.into()),
            24..=27 => 1 << (info - 24),
            _ => return Err(malformed(format!("an item has the additional information {info}, wanted 0 to 27"))),
        };
        let bytes = take(&mut self.rest, size)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Bytes or text, in one piece or in several.
    fn string(&mut self, major: u8, info: u8) -> Result<Cow<'a, [u8]>, LinksError> {
        if info != INDEFINITE {
            let length = self.argument(info)?;
            return take(&mut self.rest, length).map(Cow::Borrowed);
        }
        let mut whole = Vec::new();
        loop {
            match self.byte()? {
                (7, INDEFINITE) => return Ok(whole.into()),
                (piece, info) if piece == major => {
                    let length = self.argument(info)?;
                    whole.extend_from_slice(take(&mut self.rest, length)?);
                }
                _ => return Err(malformed("a string in pieces has a piece of another type")),
            }
        }
    }

    fn open(&mut self, info: u8, keys: Option<usize>) -> Result<(), LinksError> {
        refuse_depth(self.open.len())?;
        let left = if info == INDEFINITE { None } else { Some(self.argument(info)?) };
        self.open.push(Open { left, keys });
        Ok(())
    }

    fn close(&mut self, closed: &Open) -> Result<(), LinksError> {
        let Some(start) = closed.keys else { return Ok(()) };
        refuse_duplicates(&mut self.keys[start..])?;
        self.keys.truncate(start);
        Ok(())
    }

    fn key(&mut self) -> Result<Cow<'a, [u8]>, LinksError> {
        match self.head()? {
            (_, TEXT, info) => self.string(TEXT, info),
            _ => Err(malformed("the key of a map is not text")),
        }
    }

    /// False, true, null, undefined, or a float of 2, 4 or 8 bytes.
    fn simple(&mut self, info: u8) -> Result<(), LinksError> {
        match info {
            20..=23 => Ok(()),
            25..=27 => self.argument(info).map(drop),
            _ => Err(malformed(format!("a simple value {info}, wanted a boolean, null, undefined or a float"))),
        }
    }

    fn link(&mut self, bytes: &[u8]) -> Result<(), LinksError> {
        let cid = bytes.strip_prefix(&[0]).ok_or_else(|| malformed("a link does not begin with 0"))?;
        self.found.push(whole_cid(cid)?);
        Ok(())
    }
}
