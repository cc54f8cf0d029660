//! The links of dag-json, read as Kubo 0.42 reads them.
//!
//! Strings that are not UTF-8, padded bytes, a comma behind the last item, and zeros behind the value are read.

use std::borrow::Cow;

use cid::{Cid, multibase};

use super::{LinksError, malformed, refuse_depth, refuse_duplicates, whole_cid};

/// The links of a block, which is one value.
pub fn links(block: &[u8]) -> Result<Vec<Cid>, LinksError> {
    let mut reader = Reader { block, at: 0, open: Vec::new(), keys: Vec::new(), found: Vec::new() };
    let first = reader.byte()?;
    let mut read = reader.value(first)?;
    loop {
        if let Some(value) = read {
            match reader.open.last_mut() {
                Some(innermost) => innermost.last = Some(value),
                None => break,
            }
        }
        read = reader.next()?;
    }
    let end = reader.at;
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0);
    if block[end..].iter().all(is_space) {
        return Ok(reader.found);
    }
    Err(malformed(format!("it ends at byte {end}, but has {} bytes", block.len())))
}

/// A value that was read, as far as links need it.
enum Value<'a> {
    Text(Cow<'a, [u8]>),
    /// A map of nothing but the text `bytes`: bytes in base64, if the key before it is a slash.
    Bytes(Cow<'a, [u8]>),
    Other,
}

/// A list or a map whose end was not read yet.
struct Open<'a> {
    /// Where the keys of a map begin in [`Reader::keys`].
    keys: Option<usize>,
    last: Option<Value<'a>>,
}

struct Reader<'a> {
    block: &'a [u8],
    at: usize,
    open: Vec<Open<'a>>,
    /// The keys of all open maps, the outermost first.
    keys: Vec<Cow<'a, [u8]>>,
    found: Vec<Cid>,
}

impl<'a> Reader<'a> {
    /// Read on in the innermost list or map: a value, or none if that is one more list or map.
    fn next(&mut self) -> Result<Option<Value<'a>>, LinksError> {
        let innermost = self.open.last().expect("the outermost value is read whole");
        let (is_map, is_first) = (innermost.keys.is_some(), innermost.last.is_none());
        let end = if is_map { b'}' } else { b']' };
        let mut byte = self.byte()?;
        if !is_first && byte != end {
            self.expect(byte, b',')?;
            byte = self.byte()?;
        }
        if byte == end {
            return self.close().map(Some);
        }
        if is_map {
            self.expect(byte, b'"')?;
            let key = self.string()?;
            self.keys.push(key);
            let colon = self.byte()?;
            self.expect(colon, b':')?;
            byte = self.byte()?;
        }
        self.value(byte)
    }

    /// The value that begins with `byte`; none for a list or a map, of which that is all that is read.
    fn value(&mut self, byte: u8) -> Result<Option<Value<'a>>, LinksError> {
        match byte {
            b'[' => self.open(None),
            b'{' => self.open(Some(self.keys.len())),
            b'"' => Ok(Some(Value::Text(self.string()?))),
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'-' | b'0'..=b'9' => self.number(),
            other => Err(self.unexpected(other, "a value")),
        }
    }

    fn open(&mut self, keys: Option<usize>) -> Result<Option<Value<'a>>, LinksError> {
        refuse_depth(self.open.len())?;
        self.open.push(Open { keys, last: None });
        Ok(None)
    }

    /// End the innermost list or map; `{"/": "…"}` is a link.
    fn close(&mut self) -> Result<Value<'a>, LinksError> {
        let Some(Open { keys: Some(start), last }) = self.open.pop() else { return Ok(Value::Other) };
        let value = match (&self.keys[start..], last) {
            ([key], Some(Value::Text(text))) if **key == *b"/" => {
                self.found.push(link(&text)?);
                Value::Other
            }
            ([key], Some(Value::Text(text))) if **key == *b"bytes" => Value::Bytes(text),
            ([key], Some(Value::Bytes(text))) if **key == *b"/" => check_base64(&text).map(|()| Value::Other)?,
            _ => Value::Other,
        };
        refuse_duplicates(&mut self.keys[start..])?;
        self.keys.truncate(start);
        Ok(value)
    }

    /// The next byte that is not a space.
    fn byte(&mut self) -> Result<u8, LinksError> {
        let spaces = self.block[self.at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        self.at += spaces.count();
        let byte = self.block.get(self.at).ok_or_else(|| malformed("it ends too early"))?;
        self.at += 1;
        Ok(*byte)
    }

    fn expect(&self, byte: u8, wanted: u8) -> Result<(), LinksError> {
        if byte == wanted { Ok(()) } else { Err(self.unexpected(byte, &char::from(wanted).to_string())) }
    }

    fn unexpected(&self, byte: u8, wanted: &str) -> LinksError {
        malformed(format!("{byte:#x} at byte {}, wanted {wanted}", self.at - 1))
    }

    fn word(&mut self, word: &[u8]) -> Result<Option<Value<'a>>, LinksError> {
        let start = self.at - 1;
        if !self.block[start..].starts_with(word) {
            return Err(self.unexpected(word[0], "null, true or false"));
        }
        self.at = start + word.len();
        Ok(Some(Value::Other))
    }

    fn number(&mut self) -> Result<Option<Value<'a>>, LinksError> {
        let start = self.at - 1;
        let rest = &self.block[start..];
        let length = rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let text = std::str::from_utf8(&rest[..length.count()]).unwrap_or_default();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let has_leading_zero = digits.starts_with('0') && digits[1..].starts_with(|next: char| next.is_ascii_digit());
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && !has_leading_zero);
        number.ok_or_else(|| malformed(format!("a number at byte {start} that cannot be read")))?;
        self.at = start + text.len();
        Ok(Some(Value::Other))
    }

    /// The string whose first quote was read.
    fn string(&mut self) -> Result<Cow<'a, [u8]>, LinksError> {
        let start = self.at;
        let mut is_escaped = false;
        loop {
            match self.block.get(self.at) {
                None => return Err(malformed("a string does not end")),
                Some(0..0x20) => return Err(malformed(format!("a control character at byte {} in a string", self.at))),
                Some(b'"') => break,
                Some(b'\\') => {
                    is_escaped = true;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
            }
        }
        let text = &self.block[start..self.at];
        self.at += 1;
        if !is_escaped {
            return Ok(Cow::Borrowed(text));
        }
        unescape(text).map(Cow::Owned).ok_or_else(|| malformed(format!("a wrong escape in the string at byte {start}")))
    }
}

/// The string that `text` writes with escapes; half of a surrogate pair becomes U+FFFD.
fn unescape(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    while let Some((byte, rest)) = text.split_first() {
        text = rest;
        if *byte != b'\\' {
            plain.push(*byte);
            continue;
        }
        let (kind, rest) = text.split_first()?;
        text = rest;
        match kind {
            b'"' | b'\\' | b'/' => plain.push(*kind),
            b'b' => plain.push(8),
            b'f' => plain.push(12),
            b'n' => plain.push(b'\n'),
            b'r' => plain.push(b'\r'),
            b't' => plain.push(b'\t'),
            b'u' => {
                let character = unicode_escape(&mut text)?;
                plain.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return None,
        }
    }
    Some(plain)
}

/// The character behind `\u`, for which a surrogate takes the escape behind it too.
fn unicode_escape(text: &mut &[u8]) -> Option<char> {
    let first = four_digits(text)?;
    if let Some(mut behind) = text.strip_prefix(b"\\u")
        && let Some(second) = four_digits(&mut behind)
        && let Some(Ok(pair)) = char::decode_utf16([first, second]).next()
        && pair.len_utf16() == 2
    {
        *text = behind;
        return Some(pair);
    }
    Some(char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
}

fn four_digits(text: &mut &[u8]) -> Option<u16> {
    let (digits, rest) = text.split_at_checked(4)?;
    let mut digits = digits.iter().map(|digit| char::from(*digit).to_digit(16));
    let number = digits.try_fold(0, |number, digit| Some(number << 4 | digit?))?;
    *text = rest;
    u16::try_from(number).ok()
}

/// The CID of version 0 or in any multibase that `text` is.
fn link(text: &[u8]) -> Result<Cid, LinksError> {
    let text = std::str::from_utf8(text).map_err(|_| malformed("a link is not text"))?;
    let bytes = if text.len() == 46 && text.starts_with("Qm") {
        multibase::Base::Base58Btc.decode(text)
    } else {
        multibase::decode(text).map(|(_, bytes)| bytes)
    };
    whole_cid(&bytes.map_err(|error| malformed(format!("a link is not a CID: {error}").to_lowercase()))?)
}

/// Refuse what is not base64, with or without its padding.
fn check_base64(text: &[u8]) -> Result<(), LinksError> {
    let unpadded = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let is_padded = unpadded.len() < text.len();
    let fits = if is_padded { text.len().is_multiple_of(4) } else { text.len() % 4 != 1 };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if fits && unpadded.iter().all(is_digit) { Ok(()) } else { Err(malformed("bytes are not in base64")) }
}
