//! The PSA part of our OpenAPI document is the official document, operation by operation.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

const METHODS: [&str; 3] = ["get", "post", "delete"];

#[test]
fn every_operation_is_as_in_the_official_document() {
    let official = official();
    let ours = serde_json::to_value(pinrail_http::openapi()).unwrap();
    let paths = |document: &Value| {
        let paths = document["paths"].as_object().unwrap().keys().filter(|path| path.starts_with("/pins"));
        paths.cloned().collect::<BTreeSet<_>>()
    };
    assert_eq!(paths(&ours), paths(&official));
    let mut compared = 0;
    for path in paths(&official) {
        for method in METHODS.into_iter().filter(|method| official["paths"][&path].get(method).is_some()) {
            let expected = operation(&official, &path, method);
            let found = operation(&ours, &path, method);
            if found != expected {
                differences(&format!("{method} {path}"), &found, &expected);
            }
            assert_eq!(found, expected, "{method} {path}");
            compared += 1;
        }
        assert_eq!(methods(&ours, &path), methods(&official, &path), "{path}");
    }
    assert_eq!(compared, 5);
}

#[test]
fn tokens_are_sent_as_the_official_document_says() {
    let (official, ours) = (official(), serde_json::to_value(pinrail_http::openapi()).unwrap());
    assert_eq!(ours["security"], official["security"]);
    for field in ["type", "scheme"] {
        let pointer = format!("/components/securitySchemes/accessToken/{field}");
        assert_eq!(ours.pointer(&pointer), official.pointer(&pointer), "{field}");
    }
}

fn official() -> Value {
    let text = include_str!("../../../docs/ipfs-pinning-service-v1.0.0.yaml");
    serde_yaml_ng::from_str(text).unwrap()
}

fn methods(document: &Value, path: &str) -> BTreeSet<String> {
    let keys = document["paths"][path].as_object().unwrap().keys();
    keys.filter(|key| METHODS.contains(&key.as_str())).cloned().collect()
}

/// One operation with its references resolved, the path's parameters among its own, each parameter under its name.
fn operation(document: &Value, path: &str, method: &str) -> Value {
    let item = &document["paths"][path];
    let mut operation = resolve(document, &item[method]);
    let fields = operation.as_object_mut().unwrap();
    fields.remove("operationId");
    let own = fields.remove("parameters");
    let shared = item.get("parameters").map(|parameters| resolve(document, parameters));
    let both = own.into_iter().chain(shared).flat_map(|list| list.as_array().unwrap().clone());
    let named = both.map(|parameter| (parameter["name"].as_str().unwrap().to_owned(), parameter));
    fields.insert("parameters".to_owned(), named.collect::<Map<_, _>>().into());
    operation
}

/// A value with every reference replaced by what it refers to, in the form of version 3.0.
fn resolve(document: &Value, value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| resolve(document, item)).collect(),
        Value::Object(fields) => match fields.get("$ref") {
            Some(reference) => {
                let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
                resolve(document, document.pointer(pointer).unwrap())
            }
            None => normalize(fields.iter().map(|(key, field)| (key.clone(), resolve(document, field))).collect()),
        },
        other => other.clone(),
    }
}

/// What version 3.1 and utoipa write in another way, and what says nothing.
fn normalize(mut fields: Map<String, Value>) -> Value {
    // Every key of a JSON object is a string.
    if fields.get("propertyNames") == Some(&json!({"type": "string"})) {
        fields.remove("propertyNames");
    }
    if let Some([example]) = fields.get("examples").and_then(Value::as_array).map(Vec::as_slice) {
        let example = example.clone();
        fields.remove("examples");
        fields.insert("example".to_owned(), example);
    }
    fields.into()
}

fn differences(place: &str, found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for key in found.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
                let of = |fields: &Map<String, Value>| fields.get(key).cloned().unwrap_or(json!("(nothing)"));
                differences(&format!("{place} {key}"), &of(found), &of(expected));
            }
        }
        _ if found != expected => eprintln!("{place}\n   found    {found}\n   expected {expected}"),
        _ => {}
    }
}
