//! Failures as the database keeps them and as the document explains them.

use pinrail_domain::{FailureReason, Missing, Phase, RootFailure, chain};

#[test]
fn each_reason_has_a_row_in_the_document() {
    let document = include_str!("../../../docs/api.md");
    for reason in FailureReason::ALL {
        let row = format!("| `{}` | ", reason.as_str());
        assert!(document.lines().any(|line| line.starts_with(&row)), "docs/api.md does not explain {reason:?}");
    }
}

#[test]
fn what_the_database_holds_is_read_as_before() {
    let stored = r#"{"phase":"finding","reason":"NO_PROVIDER_FOUND","details":"nobody has it"}"#;
    let details = "nobody has it".to_owned();
    let mut failure =
        RootFailure { phase: Phase::Finding, reason: FailureReason::NoProviderFound, details, missing: None };
    assert_eq!(serde_json::from_str::<RootFailure>(stored).unwrap(), failure);
    assert_eq!(serde_json::to_string(&failure).unwrap(), stored);
    failure.missing = Some(Missing { block: "bafkqaaa".to_owned(), more: 2, peers: 1 });
    let text = serde_json::to_string(&failure).unwrap();
    assert!(text.ends_with(r#","missing":{"block":"bafkqaaa","more":2,"peers":1}}"#), "{text}");
    assert_eq!(serde_json::from_str::<RootFailure>(&text).unwrap(), failure);
    let newer = stored.replace("NO_PROVIDER_FOUND", "NOT_INVENTED_YET");
    assert_eq!(serde_json::from_str::<RootFailure>(&newer).unwrap().reason, FailureReason::Unknown);
    for reason in FailureReason::ALL {
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<FailureReason>(&text).unwrap(), reason);
    }
}

#[test]
fn a_chain_names_each_source_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("disk failed")]
    struct Outer(#[source] std::io::Error);

    assert_eq!(chain(&Outer(std::io::Error::other("no such device"))), "disk failed: no such device");
}
