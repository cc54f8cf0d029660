//! The filter that a parameter's name means: clients write lists and pairs with brackets.

use crate::pin::shorten;

const FILTERS: [&str; 8] = ["cid", "name", "match", "status", "before", "after", "limit", "meta"];
/// Those that take a list: axios writes `cid[]=…` or `cid[0]=…`.
const LISTS: [&str; 2] = ["cid", "status"];

/// What a parameter's name means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// The filter of this name.
    Filter(&'a str),
    /// The value of this key of meta.
    MetaKey(&'a str),
    /// Nothing that the specification knows.
    Unknown,
}

/// Read a parameter's name. A known one in another spelling is an error: passed over, it would let through what the
/// client meant to leave out.
pub(super) fn read(name: &str) -> Result<Meaning<'_>, String> {
    if FILTERS.contains(&name) {
        return Ok(Meaning::Filter(name));
    }
    match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some(("meta", key)) => return Ok(Meaning::MetaKey(key)),
        Some((list, index)) if LISTS.contains(&list) && index.bytes().all(|digit| digit.is_ascii_digit()) => {
            return Ok(Meaning::Filter(list));
        }
        _ => {}
    }
    let Some(meant) = resembled(name) else { return Ok(Meaning::Unknown) };
    let wanted = match meant {
        "meta" => "meta or meta[key]".to_owned(),
        list if LISTS.contains(&list) => format!("{list}, {list}[] or {list}[0]"),
        other => other.to_owned(),
    };
    Err(format!("the parameter {} is not understood, wanted {wanted}", shorten(name)))
}

/// The filter that a name has as its first word, in any case. Names that are not decoded may be asked about too.
pub(super) fn resembled(name: &str) -> Option<&'static str> {
    let is_in_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    let word = name.trim_start().split(|character| !is_in_word(character)).next()?;
    FILTERS.into_iter().find(|filter| word.eq_ignore_ascii_case(filter))
}

#[cfg(test)]
mod tests {
    use super::{Meaning, read};

    #[test]
    fn lists_and_pairs_may_have_brackets() {
        for (name, meaning) in [
            ("cid", Meaning::Filter("cid")),
            ("cid[]", Meaning::Filter("cid")),
            ("status[12]", Meaning::Filter("status")),
            ("meta[app]", Meaning::MetaKey("app")),
            ("meta[a[b]]", Meaning::MetaKey("a[b]")),
            ("cids", Meaning::Unknown),
            ("x-status", Meaning::Unknown),
            ("meta_x", Meaning::Unknown),
            ("status-code[0]", Meaning::Unknown),
            ("[cid]", Meaning::Unknown),
            ("", Meaning::Unknown),
        ] {
            assert_eq!(read(name), Ok(meaning), "{name}");
        }
    }

    #[test]
    fn known_names_in_another_spelling_are_named() {
        for name in [
            "cid[a]",
            "cid[0",
            "cid[0][1]",
            "cid.0",
            "CID",
            "Status",
            "status[-1]",
            " status",
            "status ",
            "name[]",
            "match[0]",
            "limit[]",
            "before[]",
            "After",
            "meta[a",
            "meta.a",
            "Meta[a]",
        ] {
            let error = read(name).expect_err(name);
            assert!(error.contains(&format!("{name:?}")), "{error}");
        }
    }
}
