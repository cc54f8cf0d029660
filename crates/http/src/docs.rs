//! The OpenAPI document and a page to read it and to try it, with nothing loaded from elsewhere.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pinrail_spec::Reason;
use utoipa::openapi::{OpenApi, Server};
use utoipa_swagger_ui::Config;

use crate::error::ApiError;
use crate::state::State;

/// The page runs its own scripts and reads this service only: what it does not have, it does not load.
const POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

/// `/openapi.json` and `/docs/`.
pub(crate) fn routes(mut document: OpenApi, base_path: &str) -> Router<State> {
    let root = if base_path.is_empty() { "/" } else { base_path };
    document.servers = Some(vec![Server::new(root)]);
    let document = Arc::new(document);
    // Relative to the page, so that it is found under any path that a proxy puts before it.
    let config = Config::from("../openapi.json").validator_url("none");
    let page = Router::new()
        .route("/docs/", get(|config: Shared<Arc<Config<'static>>>| asset(config, Path("index.html".to_owned()))))
        .route("/docs/{file}", get(asset))
        .with_state(Arc::new(config));
    Router::new()
        .route("/openapi.json", get(async move || Json(document.as_ref().clone())))
        .route("/docs", get(|| async { (axum::http::StatusCode::SEE_OTHER, [(header::LOCATION, "docs/")]) }))
        .merge(page)
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
