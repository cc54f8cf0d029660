//! Whatever bytes a holder signs as a block: they are refused or judged, and nothing breaks.

use std::collections::HashMap;
use std::sync::LazyLock;

use biscuit_auth::builder::{Binary, BlockBuilder, Check, CheckKind, Expression, Op, Rule, Term, Unary, pred, var};
use biscuit_auth::format::SerializedBiscuit;
use biscuit_auth::{Algorithm, KeyPair, UnverifiedBiscuit};
use multibase::Base;
use pinrail_domain::{Operation, Refusal, Subject, authorize};
use pinrail_spec::Cid;
use proptest::prelude::*;

use crate::fixture::{NOW, standing, token, verify_here};

const CHECK: &str = r#"check if pin_name($n), time($t), !$n.starts_with("a") && ["b", "c"].contains($n) || $t < 2027-01-01T00:00:00Z or
                       operation("pins:read")"#;

/// The service's own token, and the bytes of an allowed block.
static GOOD: LazyLock<(SerializedBiscuit, Vec<u8>)> = LazyLock::new(|| {
    let block = BlockBuilder::new().code(CHECK).unwrap();
    let narrowed = UnverifiedBiscuit::from_base64(token()).and_then(|token| token.append(block)?.to_vec()).unwrap();
    let public = KeyPair::from_bytes(&[11; 32], Algorithm::Ed25519.into()).unwrap().public();
    let read = |bytes: &[u8]| SerializedBiscuit::from_slice(bytes, public).unwrap();
    let token = read(&Base::Base64UrlPad.decode(token()).unwrap());
    (token, read(&narrowed).to_proto().blocks.swap_remove(0).block)
});

/// Sign `block` as any holder can.
fn sign(block: Vec<u8>) -> String {
    let next = KeyPair::from_bytes(&[6; 32], Algorithm::Ed25519.into()).unwrap();
    let signed = GOOD.0.append_serialized(&next, block, None).unwrap();
    Base::Base64UrlPad.encode(signed.to_vec().unwrap())
}

/// Verify the token, and if it is accepted, ask it.
fn present(text: &str) {
    let Ok(verified) = verify_here(text) else { return };
    assert!(verified.is_narrowed());
    let cid = Cid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").unwrap();
    let pin = Subject { name: Some("b"), cid: &cid };
    for operation in [Operation::Read(pin), Operation::List { name: None, root: None }] {
        let answer = authorize(&verified, &standing(), &operation, NOW);
        assert!(matches!(answer, Ok(()) | Err(Refusal::Forbidden(_))), "{answer:?}");
    }
}

#[test]
fn a_good_block_is_accepted() {
    assert!(verify_here(&sign(GOOD.1.clone())).is_ok());
}

/// Any operation of Datalog, closures with few operations inside.
fn operation() -> impl Strategy<Value = Op> {
    let leaf = prop_oneof![
        Just(Op::Value(var("n"))),
        Just(Op::Value(var("unbound"))),
        Just(Op::Value(Term::Str("b".to_owned()))),
        Just(Op::Value(Term::Date(1_800_000_000))),
        Just(Op::Value(Term::Array(vec![Term::Str("b".to_owned())]))),
        Just(Op::Unary(Unary::Negate)),
        Just(Op::Unary(Unary::Parens)),
        Just(Op::Binary(Binary::Equal)),
        Just(Op::Binary(Binary::Contains)),
        Just(Op::Binary(Binary::Prefix)),
        Just(Op::Binary(Binary::LazyAnd)),
        Just(Op::Binary(Binary::LazyOr)),
        Just(Op::Binary(Binary::And)),
        Just(Op::Binary(Binary::LessThan)),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(|operations| Op::Closure(vec![], operations))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn changed_bytes_break_nothing(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut block = GOOD.1.clone();
        for (at, byte) in changes {
            let at = at.index(block.len());
            block[at] = byte;
        }
        present(&sign(block));
    }

    #[test]
    fn any_order_of_operations_breaks_nothing(operations in proptest::collection::vec(operation(), 0..12)) {
        let query = Rule {
            expressions: vec![Expression { ops: operations }],
            parameters: Some(HashMap::new()),
            ..biscuit_auth::builder::rule("query", &[] as &[Term], &[pred("pin_name", &[var("n")])])
        };
        let block = BlockBuilder { checks: vec![Check { queries: vec![query], kind: CheckKind::One }], ..BlockBuilder::new() };
        let token = UnverifiedBiscuit::from_base64(token()).and_then(|token| token.append(block)?.to_base64()).unwrap();
        present(&token);
    }
}
