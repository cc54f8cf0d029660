//! What any Biscuit library may append: every form that the allow-list names works.

use crate::fixture::{NOW, standing, token, verify_here};
use biscuit_auth::UnverifiedBiscuit;
use biscuit_auth::builder::BlockBuilder;
use pinrail_domain::{Operation, Subject, authorize};
use pinrail_spec::Cid;

/// The Datalog, and whether it allows reading the pin `backup/monday`.
const ALLOWED: &[(&str, bool)] = &[
    (r#"check if operation("pins:read")"#, true),
    (r#"check if operation("pins:write")"#, false),
    (r#"check if operation("pins:write") or operation("pins:read")"#, true),
    (r#"check if operation($o), ["pins:read", "pins:write"].contains($o)"#, true),
    (r#"check if operation($o), {"pins:delete", "pins:write"}.contains($o)"#, false),
    (r#"check if operation($o), $o == "pins:read""#, true),
    (r#"check if operation($o), $o === "pins:read""#, true),
    (r#"check if operation($o), $o != "pins:read""#, false),
    (r#"check if operation($o), $o !== "pins:delete""#, true),
    (r#"check if pin_name($n), $n.starts_with("backup/")"#, true),
    (r#"check if pin_name($n), $n.starts_with("photos/")"#, false),
    (r#"check if pin_name($n), $n.contains("mon")"#, true),
    (r#"check if pin_name($n), !$n.starts_with("photos/")"#, true),
    (r#"check if pin_name($n), !($n.starts_with("a") || $n.starts_with("b"))"#, false),
    (r#"check if pin_name($n), $n.starts_with("a") || $n.starts_with("b")"#, true),
    (r#"check if pin_name($n), operation($o), $n == "backup/monday" && $o == "pins:read""#, true),
    (r#"check if pin_cid("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")"#, true),
    (r#"check if pin_cid("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")"#, false),
    ("check if time($t), $t < 2026-11-23T06:00:00Z", true),
    ("check if time($t), $t <= 2026-11-23T05:00:00Z", true),
    ("check if time($t), $t > 2026-11-23T05:00:00Z", false),
    ("check if time($t), $t >= 2026-11-23T05:00:00Z, $t < 2026-11-23T05:00:01Z", true),
    (r#"check if account($a), $a.starts_with("0")"#, true),
    (r#"check if account("0")"#, false),
    (r#"check if operation("pins:read"); check if pin_name("backup/monday")"#, true),
    (r#"check if operation("pins:read"); check if pin_name("photos")"#, false),
    // Allowed, and wrong: it cannot be evaluated, so it allows nothing.
    ("check if time($t), $t < $unbound", false),
    (r#"check if operation($o), $o < "pins:write""#, false),
    (r#"check if operation($o), "pins:read""#, false),
];

#[test]
fn each_allowed_form_is_evaluated() {
    let cid = Cid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").unwrap();
    let operation = Operation::Read(Subject { name: Some("backup/monday"), cid: &cid });
    for (datalog, allowed) in ALLOWED {
        let token = verify_here(&append(datalog)).unwrap_or_else(|error| panic!("{datalog}: {error}"));
        let found = authorize(&token, &standing(), &operation, NOW);
        assert_eq!(found.is_ok(), *allowed, "{datalog}: {found:?}");
    }
}

/// The dearest token that the allow-list lets through: as many checks of 32 operations as 4 KiB hold. Its work is
/// bounded by their number, so that it is answered, whatever it says.
#[test]
fn the_dearest_allowed_token_is_still_answered() {
    let check = format!("check if pin_name($n), operation($o), {}", vec![r#"$n == "b""#; 16].join(" || "));
    let block = vec![check; 4].join(";");
    let text = append_to(&token(), &block);
    let token = verify_here(&text).unwrap();
    let cid = Cid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").unwrap();
    let read = |name| authorize(&token, &standing(), &Operation::Read(Subject { name: Some(name), cid: &cid }), NOW);
    assert_eq!(read("b"), Ok(()));
    assert!(read("c").is_err());
}

fn append(datalog: &str) -> String {
    append_to(&token(), datalog)
}

fn append_to(text: &str, datalog: &str) -> String {
    let block = BlockBuilder::new().code(datalog).unwrap_or_else(|error| panic!("{datalog}: {error}"));
    UnverifiedBiscuit::from_base64(text).and_then(|token| token.append(block)?.to_base64()).unwrap()
}
