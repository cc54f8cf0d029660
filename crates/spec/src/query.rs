//! A raw query string as name and value pairs, percent-decoded as browsers encode forms.

use crate::pin::shorten;

/// One `name=value` of a query, the name decoded, the value still as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter<'a> {
    /// Its decoded name.
    pub(crate) name: String,
    raw_value: &'a str,
}

impl Parameter<'_> {
    /// Its decoded value.
    pub(crate) fn value(&self) -> Result<String, String> {
        decode(self.raw_value).map_err(|error| format!("{}: {error}", shorten(&self.name)))
    }
}

/// Split a raw query; only names are decoded, so that a parameter nobody knows can hold anything.
///
/// A name that cannot be decoded is left out, but for one that `is_known` takes for a filter: a list without that
/// would hold more than was asked for.
pub(crate) fn split(query: &str, is_known: impl Fn(&str) -> bool) -> Result<Vec<Parameter<'_>>, String> {
    let parameters = query.split('&').filter(|part| !part.is_empty());
    parameters
        .filter_map(|part| {
            let (name, raw_value) = part.split_once('=').unwrap_or((part, ""));
            match decode(name) {
                Ok(name) => Some(Ok(Parameter { name, raw_value })),
                Err(error) if is_known(name) => Some(Err(format!("{}: {error}", shorten(name)))),
                Err(_) => None,
            }
        })
        .collect()
}

/// Decode `+` to a space and `%XX` to its byte; the bytes have to be UTF-8.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let code = digit(rest.next()).zip(digit(rest.next()));
                let value = code.and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
                value.ok_or("malformed percent-encoding, wanted % and two hexadecimal digits")?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| "the percent-encoded text is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{decode, split};

    #[test]
    fn decodes_as_forms_do() {
        assert_eq!(decode("a+b%20c%2Bd").as_deref(), Ok("a b c+d"));
        assert_eq!(decode("%C3%BC%E2%82%AC").as_deref(), Ok("ü€"));
        for malformed in ["%", "%4", "%zz", "a%4", "%+1", "%\u{e9}", "%ff"] {
            assert!(decode(malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn splits_at_the_first_equals_sign() {
        let parameters = split("a=b=c&&d&meta%5Bk%5D=v&%ff=w", |_| false).unwrap();
        let names = parameters.iter().map(|parameter| parameter.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["a", "d", "meta[k]"]);
        assert_eq!(parameters[0].value().as_deref(), Ok("b=c"));
        assert_eq!(parameters[1].value().as_deref(), Ok(""));
        assert!(split("%ff=w", |_| true).is_err());
    }
}
