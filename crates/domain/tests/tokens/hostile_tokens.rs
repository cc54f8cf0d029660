//! Tokens that a holder made hostile, each from a token that was good.

use biscuit_auth::builder::{BlockBuilder, Check, CheckKind, Rule, Scope, Term, pred, rule, string, var};
use biscuit_auth::{Algorithm, Biscuit, KeyPair, UnverifiedBiscuit};

use crate::fixture::{key, token};

/// One hostile token: what it tries, and its text.
pub struct Hostile {
    /// What it tries.
    pub name: &'static str,
    /// Its text.
    pub text: String,
}

/// A token with this Datalog appended, as any Biscuit library can do it.
#[must_use]
pub fn append(datalog: &str) -> String {
    let block = BlockBuilder::new().code(datalog);
    append_to(&token(), block.unwrap_or_else(|error| panic!("{datalog}: {error}")))
}

fn append_to(text: &str, block: BlockBuilder) -> String {
    let token = UnverifiedBiscuit::from_base64(text).expect("a token");
    token.append(block).and_then(|token| token.to_base64()).expect("a block")
}

/// Datalog that asks for more than a check may.
const DATALOG: &[(&str, &str)] = &[
    ("a fact", r#"operation("pins:delete")"#),
    ("a fact beside a check", r#"scope("admin"); check if operation("pins:read")"#),
    ("a rule", r#"operation("pins:delete") <- operation($o)"#),
    ("a rule without end", "f($a) <- f($b), operation($a)"),
    ("check all", r#"check all operation($o), $o == "pins:read""#),
    ("reject if", r#"reject if operation("pins:delete")"#),
    ("no predicate", r#"check if "a" == "a""#),
    ("three predicates", "check if operation($a), time($b), account($c)"),
    ("a fact that nobody supplies", r#"check if user("me")"#),
    ("the token's own facts", r#"check if scope("pins:read")"#),
    ("a fact with two terms", "check if operation($a, $b)"),
    ("an integer", "check if operation($o), 1 == 1"),
    ("a boolean", "check if operation($o), true"),
    ("null", "check if operation($o), null == null"),
    ("bytes", "check if operation($o), hex:00 == hex:00"),
    ("an integer asked for", "check if operation(1)"),
    ("a set asked for", r#"check if operation({"a"})"#),
    ("a map asked for", r#"check if operation({"a": 1})"#),
    ("a map", r#"check if operation($o), {"a": 1}.get("a") == 1"#),
    ("a list in a list", r#"check if operation($o), [["a"]].contains(["a"])"#),
    ("numbers in a list", "check if operation($o), [1, 2].contains(1)"),
    ("a regular expression", r#"check if operation($o), $o.matches("(a+)+$")"#),
    ("an external function", "check if operation($o), $o.extern::run()"),
    ("an external function of two", r#"check if operation($o), $o.extern::run("a")"#),
    ("a loop", r#"check if operation($o), ["a"].any($x -> $x == $o)"#),
    ("a loop over all", r#"check if operation($o), ["a"].all($x -> $x == $o)"#),
    ("a try", r#"check if operation($o), ($o == "a").try_or($o == "b")"#),
    ("arithmetic", "check if operation($o), 1 + 1 == 2"),
    ("a longer string", r#"check if operation($o), ($o + $o).starts_with("p")"#),
    ("length", "check if operation($o), $o.length() == 1"),
    ("type", r#"check if operation($o), $o.type() == "string""#),
    ("the end of a string", r#"check if operation($o), $o.ends_with("read")"#),
    ("an intersection", r#"check if operation($o), {"a"}.intersection({"b"}) == {"a"}"#),
    ("a union", r#"check if operation($o), {"a"}.union({"b"}).contains($o)"#),
    ("bits", "check if operation($o), 1 & 1 == 1"),
    ("trust in the authority", r#"check if operation("pins:read") trusting authority"#),
    ("trust in all before", r#"check if operation("pins:read") trusting previous"#),
    (
        "trust in a key",
        "check if operation($o) trusting ed25519/acdd6d5b53bfee478bf689f8e012fe7988bf755e3d7c5152947abc149bc20189",
    ),
    (
        "nested loops without a predicate",
        r#"check if ["a", "b", "c", "d", "e", "f", "g", "h"].all($a ->
           ["a", "b", "c", "d", "e", "f", "g", "h"].all($b -> ["a", "b", "c", "d", "e", "f", "g", "h"].all($c ->
           ["a", "b", "c", "d", "e", "f", "g", "h"].all($d -> ["a", "b", "c", "d", "e", "f", "g", "h"].all($e ->
           ["a", "b", "c", "d", "e", "f", "g", "h"].all($f -> ["a", "b", "c", "d", "e", "f", "g", "h"].all($g ->
           ["a", "b", "c", "d", "e", "f", "g", "h"].all($h -> $a == $a))))))))"#,
    ),
];

/// Every hostile token, new ones at each call.
#[must_use]
pub fn all() -> Vec<Hostile> {
    let written = DATALOG.iter().map(|(name, datalog)| Hostile { name, text: append(datalog) });
    written.chain(by_count()).chain(by_form()).chain(by_signature()).collect()
}

/// What is allowed, but too much of it.
fn by_count() -> Vec<Hostile> {
    let checks = |n| vec![r#"check if operation("pins:read")"#; n].join(";");
    let alternatives = |n: usize| format!("check if {}", vec![r#"operation("pins:read")"#; n].join(" or "));
    let operations = |n: usize| format!("check if pin_name($n), {}", vec![r#"$n == "a""#; n].join(" || "));
    let literals = |n: usize| {
        let list = (0..n).map(|i| format!(r#""{i}""#)).collect::<Vec<_>>();
        format!("check if pin_name($n), [{}].contains($n)", list.join(","))
    };
    let joins = (0..36).map(|i| format!("f{i}($a) <- pin_name($a), pin_cid($b), time($c)")).collect::<Vec<_>>();
    let facts = (0..140).map(|i| format!("f({i})")).collect::<Vec<_>>();
    let six = (0..5).fold(token(), |text, _| {
        append_to(&text, BlockBuilder::new().code(r#"check if operation("pins:read")"#).expect("a check"))
    });
    let shared = format!("check if pin_name($n), {0} or pin_name($n), {0}", [r#"$n == "a""#; 9].join(" || "));
    vec![
        Hostile { name: "five checks", text: append(&checks(5)) },
        Hostile { name: "five alternatives", text: append(&alternatives(5)) },
        Hostile {
            name: "five alternatives in the second check",
            text: append(&[checks(1), alternatives(5)].join(";")),
        },
        Hostile { name: "more than 32 operations", text: append(&operations(17)) },
        Hostile { name: "more than 32 operations in two alternatives", text: append(&shared) },
        Hostile { name: "65 literals", text: append(&literals(65)) },
        Hostile { name: "36 rules with joins", text: append(&joins.join(";")) },
        Hostile { name: "140 facts", text: append(&facts.join(";")) },
        Hostile { name: "six blocks", text: six },
        Hostile { name: "more than 4 KiB", text: append(&format!(r#"check if pin_name("{}")"#, "a".repeat(3000))) },
    ]
}

/// What no source can say.
fn by_form() -> Vec<Hostile> {
    let query = |head, body| Rule { head, ..rule("query", &[] as &[Term], &[body]) };
    let check = |queries| BlockBuilder { checks: vec![Check { queries, kind: CheckKind::One }], ..BlockBuilder::new() };
    let ask = |head, body| append_to(&token(), check(vec![query(head, body)]));
    let no_head = || pred("query", &[] as &[Term]);
    let forged = pred("operation(\"pins:read\"); check if time", &[var("t")]);
    vec![
        Hostile { name: "a check without alternatives", text: append_to(&token(), check(vec![])) },
        Hostile { name: "a fact without terms", text: ask(no_head(), pred("operation", &[] as &[Term])) },
        Hostile {
            name: "a head with a variable that nothing binds",
            text: ask(pred("query", &[var("nothing")]), pred("operation", &[string("pins:read")])),
        },
        Hostile { name: "a name that reads as an allowed check", text: ask(no_head(), forged) },
        Hostile { name: "a block's trust", text: append_to(&token(), BlockBuilder::new().scope(Scope::Previous)) },
        Hostile { name: "another's block", text: third_party() },
    ]
}

fn third_party() -> String {
    let other = KeyPair::new_with_algorithm(Algorithm::Ed25519);
    let token = UnverifiedBiscuit::from_base64(token()).expect("a token");
    let request = token.third_party_request().expect("a request");
    let block = BlockBuilder::new().code(r#"check if operation("pins:read")"#).expect("a check");
    let block = request.create_block(&other.private(), block).and_then(|block| block.serialize()).expect("a block");
    token.append_third_party(&block).and_then(|token| token.to_base64()).expect("a token")
}

/// What was cut, swapped, or signed by somebody else.
fn by_signature() -> Vec<Hostile> {
    let narrowed = append(r#"check if operation("pins:read")"#);
    let public = KeyPair::from_bytes(&[11; 32], Algorithm::Ed25519.into()).expect("the key of these tests").public();
    let read = |text: &str| Biscuit::from_base64(text, public).expect("a good token").container().clone();
    let write = |token: &biscuit_auth::format::SerializedBiscuit| {
        UnverifiedBiscuit::from(token.to_vec().expect("bytes")).and_then(|token| token.to_base64()).expect("a token")
    };
    let mut stripped = read(&narrowed);
    stripped.blocks.clear();
    let mut stolen = read(&narrowed);
    stolen.proof = read(&token()).proof;
    let mut doubled = read(&narrowed);
    doubled.blocks.push(doubled.blocks[0].clone());
    let mut forged = read(&token());
    forged.root_key_id = Some(key().id() + 1);
    vec![
        Hostile { name: "a narrowing taken off", text: write(&stripped) },
        Hostile { name: "another token's proof", text: write(&stolen) },
        Hostile { name: "a block twice", text: write(&doubled) },
        Hostile { name: "another key's id", text: write(&forged) },
        Hostile { name: "nothing", text: String::new() },
        Hostile { name: "no base64", text: "not a token".to_owned() },
        Hostile { name: "half a token", text: token()[..token().len() / 2].to_owned() },
        Hostile { name: "4 KiB of the letter A", text: "A".repeat(4096) },
    ]
}
