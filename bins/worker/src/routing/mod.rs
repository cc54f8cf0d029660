//! `/routing/v1`, by which others find out over HTTP that this node has a block, and where it is.
//!
//! It speaks of this node alone: a router that looked up what others have would work for every stranger.
//! (Delegated Routing V1 HTTP API, <https://specs.ipfs.tech/routing/http-routing-v1/>)

mod filters;
mod record;
mod serve;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pinrail_domain::chain;
use pinrail_ipfs_embedded::{Node, PeerId};
use pinrail_spec::{Cid, RootKey};

use filters::Filters;
use record::Record;
pub use serve::serve;

/// How long an answer may be kept that names us, and one that names nobody.
const KEPT: &str = "public, max-age=300";
const KEPT_EMPTY: &str = "public, max-age=15";
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
/// The codec of a peer id that is written as a CID.
const LIBP2P_KEY: u64 = 0x72;

/// The routes, answered for this node.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/routing/v1/providers/{cid}", get(providers))
        .route("/routing/v1/peers/{peer}", get(peers))
        .with_state(node)
}

/// Who provides a CID: this node if it has the block, whatever pin it belongs to.
async fn providers(
    State(node): State<Arc<Node>>,
    Path(cid): Path<String>,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Response {
    let cid = match Cid::parse_any_codec(&cid).and_then(|key: RootKey| key.to_cid()) {
        Ok(cid) => cid,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let store = node.store().clone();
    let looked = tokio::task::spawn_blocking(move || store.size(cid.hash())).await;
    match looked {
        Ok(Ok(size)) => answer("Providers", size.and_then(|_| filters.apply(Record::of(&node))).as_ref(), &headers),
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), "whether a block is there is not told");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Where a peer is, if that is this node.
async fn peers(
    State(node): State<Arc<Node>>,
    Path(peer): Path<String>,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Response {
    let Some(peer) = parse_peer(&peer) else {
        return (StatusCode::BAD_REQUEST, "not a peer id, wanted one such as 12D3KooW… or k51…").into_response();
    };
    let own = (peer == node.peer_id()).then(|| Record::of(&node));
    answer("Peers", own.and_then(|record| filters.apply(record)).as_ref(), &headers)
}

/// A peer id as it is, or as a CID.
fn parse_peer(text: &str) -> Option<PeerId> {
    let as_cid = || {
        let key = Cid::parse_any_codec(text).ok().filter(|key| key.codec == LIBP2P_KEY)?;
        PeerId::from_bytes(&key.multihash).ok()
    };
    text.parse().ok().or_else(as_cid)
}

/// The records in the form that was asked for. That there are none is an answer too (IPIP-513).
fn answer(name: &str, record: Option<&Record>, headers: &HeaderMap) -> Response {
    let asked = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (kind, body) = if asked.contains(LINES) {
        (LINES, record.map_or_else(String::new, |record| format!("{}\n", record.to_json())))
    } else {
        let records: Vec<_> = record.into_iter().map(Record::to_json).collect();
        (JSON, serde_json::json!({ name: records }).to_string())
    };
    let kept = if record.is_some() { KEPT } else { KEPT_EMPTY };
    let mut response = body.into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, kept),
        (header::VARY, "Accept"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
