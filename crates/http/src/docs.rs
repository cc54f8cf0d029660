//! The OpenAPI document and a page to read it and to try it, with nothing loaded from elsewhere.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pinrail_spec::Reason;
use serde_json::{Value, json};
use utoipa::openapi::{OpenApi, Server};
use utoipa_swagger_ui::Config;

use crate::error::ApiError;
use crate::state::State;

/// The page runs its own scripts and reads this service only: what it does not have, it does not load.
const POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

/// A CID that holds its content, `hello` and a line feed: nobody has to provide it.
const WHOLE: &str = "bafkqabtimvwgy3yk";

/// `/openapi.json` and `/docs/`. All addresses in them are relative, so that they hold under a base path, also where a
/// proxy cuts it off.
pub(crate) fn routes(mut document: OpenApi) -> Router<State> {
    document.servers = Some(vec![Server::new(".")]);
    let tried = Arc::new(to_try(&document));
    let document = Arc::new(document);
    let config = Config::from("openapi.json").validator_url("none");
    let page = Router::new()
        .route("/docs/openapi.json", get(async move || Json(tried.as_ref().clone())))
        .route("/docs/", get(|config: Shared<Arc<Config<'static>>>| asset(config, Path("index.html".to_owned()))))
        .route("/docs/{file}", get(asset))
        .with_state(Arc::new(config));
    Router::new()
        .route("/openapi.json", get(async move || Json(document.as_ref().clone())))
        .route("/docs", get(|| async { (axum::http::StatusCode::SEE_OTHER, [(header::LOCATION, "docs/")]) }))
        .merge(page)
}

/// The document as the page reads it, which fills in its examples: what is filled in can be sent. Those of the
/// specification name CIDs that are none, and filters that hide whatever one has.
fn to_try(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    document["servers"] = json!([{ "url": ".." }]);
    let filters = document.pointer_mut("/paths/~1pins/get/parameters").and_then(Value::as_array_mut);
    for filter in filters.into_iter().flatten().filter_map(Value::as_object_mut) {
        filter.remove("example");
        if let Some(json) = filter.get_mut("content").and_then(|content| content.get_mut("application/json")) {
            json["example"] = json!({});
        }
    }
    if let Some(pin) = document.pointer_mut("/components/schemas/Pin").and_then(Value::as_object_mut) {
        pin.insert("example".to_owned(), json!({ "cid": WHOLE, "name": "hello.txt" }));
    }
    document
}

async fn asset(Shared(config): Shared<Arc<Config<'static>>>, Path(file): Path<String>) -> Response {
    match utoipa_swagger_ui::serve(&file, config) {
        Ok(Some(file)) => {
            let kind = (header::CONTENT_TYPE, file.content_type);
            ([kind], [POLICY], file.bytes).into_response()
        }
        Ok(None) => {
            ApiError::new(Reason::NotFound, "the documentation has no such file, it begins at /docs/").into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the documentation could not be made");
            ApiError::internal().into_response()
        }
    }
}
