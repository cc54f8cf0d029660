//! Schemas that the types alone do not tell, as the official document has them.

use serde_json::{Value, json};
use utoipa::openapi::schema::{AdditionalProperties, Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

/// `Pin.origins`: as the document says it; more are accepted, and 20 of them kept.
pub(crate) fn origins() -> Array {
    let example = json!([
        "/ip4/203.0.113.142/tcp/4001/p2p/QmSourcePeerId",
        "/ip4/203.0.113.114/udp/4001/quic/p2p/QmSourcePeerId"
    ]);
    addresses("Optional list of multiaddrs known to provide the data", 0, example)
}

/// `PinStatus.delegates`.
pub(crate) fn delegates() -> Array {
    let description =
        "List of multiaddrs designated by pinning service for transferring any new data from external peers";
    addresses(description, 1, json!(["/ip4/203.0.113.1/tcp/4001/p2p/QmServicePeerId"]))
}

/// `Pin.meta`, and the filter by it.
pub fn meta() -> Object {
    let example = json!({"app_id": "99986338-1113-4706-8302-4420da6158aa"});
    pairs("Optional metadata for pin object", example)
}

/// `PinStatus.info`.
pub(crate) fn info() -> Object {
    pairs("Optional info for PinStatus response", json!({"status_details": "Queue position: 7 of 9"}))
}

/// `Failure.error`.
pub(crate) fn failure_body() -> Object {
    let details = "Optional, longer description of the error; may include UUID of transaction for support, links to \
                   documentation etc";
    ObjectBuilder::new()
        .property("reason", text("Mandatory string identifying the type of error", json!("ERROR_CODE_FOR_MACHINES")))
        .required("reason")
        .property("details", text(details, json!("Optional explanation for humans with more details")))
        .build()
}

fn text(description: &str, example: Value) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .description(Some(description))
        .examples([example])
        .build()
}

fn addresses(description: &str, least: usize, example: Value) -> Array {
    ArrayBuilder::new()
        .description(Some(description))
        .items(ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)))
        .unique_items(true)
        .min_items(Some(least))
        .max_items(Some(20))
        .examples([example])
        .build()
}

/// String to string. The document puts the bounds on each value, where they bound nothing.
fn pairs(description: &str, example: Value) -> Object {
    let value = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_properties(Some(0))
        .max_properties(Some(1000))
        .build();
    ObjectBuilder::new()
        .description(Some(description))
        .additional_properties(Some(AdditionalProperties::RefOr(value.into())))
        .examples([example])
        .build()
}
