//! Bytes as hexadecimal digits, lower case when written.

use std::fmt;

/// Bytes that are written as two digits each.
pub(super) struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The bytes of an even number of digits.
pub(super) fn read(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::{Hex, read};

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(Hex(&[0, 15, 255]).to_string(), "000fff");
        assert_eq!(read("000FFF"), Some(vec![0, 15, 255]));
        for wrong in ["0", "0g", "+1", "é"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
