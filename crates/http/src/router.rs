//! Which handler answers which path, and what surrounds them all.

use std::any::Any;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use pinrail_spec::Reason;
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, Any as AnyOrigin, CorsLayer};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::budget::hold_until_sent;
use crate::error::ApiError;
use crate::openapi::{About, as_json_in_query};
use crate::settings::CorsOrigins;
use crate::state::State;
use crate::{body, docs, health, path, pins, request_log};

/// How long browsers may remember what a preflight allowed.
const PREFLIGHT_AGE: Duration = Duration::from_hours(2);
/// The least bytes of a body that is compressed for clients that ask for it: a smaller one fits one packet as it is.
const COMPRESSED_FROM: u64 = 1_024;

/// Everything that is answered over HTTP.
pub fn router(state: State) -> Router {
    let base_path = normal_base_path(&state.settings().base_path);
    let (routes, document) = routes().split_for_parts();
    let routes = routes
        .route("/", get(about))
        .merge(docs::routes(document))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(
            // As one layer, the outermost first: the router boxes what each of its layers makes.
            ServiceBuilder::new()
                .layer(from_fn_with_state(state.clone(), request_log::log))
                .layer(cors(&state.settings().cors))
                .layer(compression())
                .layer(CatchPanicLayer::custom(panicked))
                .layer(from_fn_with_state(state.clone(), answer_in_time)),
        )
        .with_state(state);
    // Paths are read as they are meant before they are looked up, and a layer of a router runs only after that. So it
    // does before the methods that a path knows are written down.
    let by_meaning = routes.into_service::<Body>().map_request(move |mut request: Request| {
        *request.uri_mut() = path::normalize(request.uri(), &base_path);
        request
    });
    let by_meaning = by_meaning.map_response(|response| hold_until_sent(allow_options(response)));
    Router::new().fallback_service(by_meaning)
}

/// What is in the OpenAPI document.
pub(crate) fn routes() -> OpenApiRouter<State> {
    let mut routes = OpenApiRouter::with_openapi(About::openapi())
        .routes(routes!(pins::list_pins, pins::add_pin))
        .routes(routes!(pins::find_pin, pins::replace_pin, pins::remove_pin))
        .routes(routes!(health::live))
        .routes(routes!(health::ready));
    as_json_in_query(routes.get_openapi_mut());
    routes
}

/// The base path with one leading slash and none behind; empty if there is none.
fn normal_base_path(sent: &str) -> String {
    let parts = sent.split('/').filter(|part| !part.is_empty());
    parts.fold(String::new(), |path, part| path + "/" + part)
}

/// What is here, for somebody who opens the endpoint. The links are relative to it, which ends in a slash.
async fn about() -> Json<serde_json::Value> {
    Json(json!({
        "name": "Pinrail, an IPFS pinning service",
        "version": env!("CARGO_PKG_VERSION"),
        "pins": "pins",
        "documentation": "docs/",
        "openapi": "openapi.json",
    }))
}

async fn unknown_path() -> ApiError {
    ApiError::new(Reason::NotFound, "there is nothing at this path, pins are at /pins and /pins/{requestid}")
}

async fn unknown_method() -> ApiError {
    ApiError::new(Reason::MethodNotAllowed, "this path does not know the method, the header Allow lists those it does")
}

/// Browsers' preflights are answered on every path, so where the methods of a path are told, theirs is one.
fn allow_options(mut response: Response) -> Response {
    if let Some(allow) = response.headers_mut().get_mut(header::ALLOW)
        && let Ok(known) = allow.to_str()
        && let Ok(whole) = HeaderValue::from_str(&format!("{known},OPTIONS"))
    {
        *allow = whole;
    }
    response
}

fn compression() -> CompressionLayer<impl Predicate> {
    let worth_it = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_FROM));
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it)
}

/// Bodies have a time limit of their own, so both together bound what a request may take. The answer waits until the
/// body is whole or too late, also where it was not read.
async fn answer_in_time(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let limit = state.settings().body_timeout + state.settings().answer_timeout;
    let late = |_| {
        tracing::warn!("an answer took longer than {limit:?}");
        ApiError::new(Reason::Unavailable, "the answer took too long, try again").into_response()
    };
    let is_about_pins = request.uri().path().starts_with("/pins");
    let (request, lent) = body::lend(request);
    let mut answer = tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(late);
    if is_about_pins {
        // They are one account's, and hold for a moment.
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(lent) = lent {
        body::throw_away(lent).await;
    }
    answer
}

/// The panic is in the log, with its message; the client learns only that it happened.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::internal().into_response()
}

fn cors(origins: &CorsOrigins) -> CorsLayer {
    let allowed = match origins {
        CorsOrigins::Any => AllowOrigin::from(AnyOrigin),
        CorsOrigins::These(origins) => {
            AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
        }
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::DELETE, Method::OPTIONS])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::RETRY_AFTER, request_log::REQUEST_ID])
        .max_age(PREFLIGHT_AGE)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::panicked;

    #[tokio::test]
    async fn a_panic_is_a_failure_that_tells_nothing() {
        async fn breaks() -> &'static str {
            panic!("a secret of the service")
        }
        let router = Router::new().route("/", get(breaks)).layer(CatchPanicLayer::custom(panicked));
        let answer = router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 500);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.starts_with(r#"{"error":{"reason":"INTERNAL_ERROR","details":""#), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
