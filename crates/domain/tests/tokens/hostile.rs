//! Hostile tokens are refused before anything of them is evaluated.

use std::collections::BTreeMap;

use crate::{fixture, hostile_tokens};
use pinrail_domain::{Refusal, TokenError};
use pinrail_spec::Reason;
use proptest::prelude::*;

#[test]
fn each_is_refused_as_unauthorized() {
    let accepted = |hostile: &hostile_tokens::Hostile| fixture::verify_here(&hostile.text).is_ok();
    let through = hostile_tokens::all().into_iter().filter(accepted).map(|hostile| hostile.name).collect::<Vec<_>>();
    assert!(through.is_empty(), "accepted: {through:?}");
    let error = fixture::verify_here("").unwrap_err();
    assert_eq!(Refusal::from(error).reason(), Reason::Unauthorized);
}

/// So that no entry of the table is refused for something else than what it tries.
#[test]
fn each_is_refused_for_what_it_tries() {
    let mut by_error = BTreeMap::<String, Vec<&str>>::new();
    for hostile in hostile_tokens::all() {
        let error = match fixture::verify_here(&hostile.text) {
            Ok(_) => "accepted".to_owned(),
            Err(TokenError::Narrowing { why, .. }) => why.to_owned(),
            Err(TokenError::TooLong(_)) => "too long".to_owned(),
            Err(error) => error.to_string(),
        };
        by_error.entry(error).or_default().push(hostile.name);
    }
    let found = by_error.iter().map(|(why, names)| (why.as_str(), names.as_slice())).collect::<Vec<_>>();
    assert_eq!(found, EXPECTED);
}

const EXPECTED: &[(&str, &[&str])] = &[
    (
        "a check asks for a fact other than operation, time, account, pin_name and pin_cid",
        &[
            "a fact that nobody supplies",
            "the token's own facts",
            "a fact with two terms",
            "a fact without terms",
            "a name that reads as an allowed check",
        ],
    ),
    (
        "a check asks for no fact or for more than 2 in one alternative",
        &["no predicate", "three predicates", "nested loops without a predicate"],
    ),
    (
        "a check has more than 32 operations",
        &["more than 32 operations", "more than 32 operations in two alternatives"],
    ),
    (
        "a check has no alternative or more than 4, a scope, or a head",
        &[
            "trust in the authority",
            "trust in all before",
            "trust in a key",
            "five alternatives",
            "five alternatives in the second check",
            "a check without alternatives",
            "a head with a variable that nothing binds",
        ],
    ),
    (
        "a list has more than 64 values or other values than strings and dates",
        &["a list in a list", "numbers in a list", "65 literals"],
    ),
    (
        "a value is not a string, a date or a variable",
        &[
            "an integer",
            "a boolean",
            "null",
            "bytes",
            "an integer asked for",
            "a set asked for",
            "a map asked for",
            "a map",
            "arithmetic",
            "bits",
        ],
    ),
    (
        "an operation is not a comparison, starts_with, contains, and, or, not, or parentheses of these",
        &[
            "a regular expression",
            "an external function",
            "an external function of two",
            "a loop",
            "a loop over all",
            "a try",
            "a longer string",
            "length",
            "type",
            "the end of a string",
            "an intersection",
            "a union",
        ],
    ),
    ("it has `check all` or `reject if`, wanted only `check if`", &["check all", "reject if"]),
    (
        "it has facts, rules, scopes or another's signature, wanted only `check if`",
        &[
            "a fact",
            "a fact beside a check",
            "a rule",
            "a rule without end",
            "36 rules with joins",
            "140 facts",
            "a block's trust",
            "another's block",
        ],
    ),
    ("it has more than 4 checks", &["five checks"]),
    ("the token has 6 blocks, wanted at most 5: narrow it fewer times", &["six blocks"]),
    ("the token was signed with a key that this service does not know", &["another key's id"]),
    ("the token's signature is not valid", &["a narrowing taken off", "another token's proof", "a block twice"]),
    (
        "this is not a token of Pinrail, which is a biscuit in URL-safe base64",
        &["nothing", "no base64", "half a token", "4 KiB of the letter A"],
    ),
    ("too long", &["more than 4 KiB"]),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The text of a token is not unique: a letter that touches nothing signed may spell the same token again. That is
    /// why tokens are told apart by their revocation ids.
    #[test]
    fn a_changed_text_never_says_anything_else(at in 0_usize..370, letter in "[A-Za-z0-9_-]") {
        let good = fixture::token();
        let mut changed = good.clone();
        changed.replace_range(at..=at, &letter);
        prop_assume!(changed != good);
        if let Ok(changed) = fixture::verify_here(&changed) {
            let good = fixture::verify_here(&good).unwrap();
            prop_assert_eq!(changed.revocation_ids(), good.revocation_ids());
            prop_assert_eq!((changed.id(), changed.account(), changed.expires()), (good.id(), good.account(), good.expires()));
            prop_assert_eq!((changed.scopes(), changed.is_narrowed()), (good.scopes(), good.is_narrowed()));
        }
    }
}
