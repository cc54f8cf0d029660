//! The OpenAPI document: what the handlers say of themselves, and what the official document says around them.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_spec::schema::meta;
use pinrail_spec::{Failure, Match, Pin, PinResults, PinStatus, Status};
use serde_json::json;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, ContentBuilder, OpenApi, Ref, RefOr};
use utoipa::{IntoParams, IntoResponses, Modify};

/// The whole document, as `/openapi.json` serves it.
pub fn openapi() -> OpenApi {
    crate::router::routes().into_openapi()
}

/// What is said once for the whole document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Pinrail",
        description = "An IPFS pinning service. It speaks the IPFS Pinning Service API 1.0.0.",
    ),
    components(schemas(Pin, PinStatus, PinResults, Failure, Match)),
    modifiers(&Official),
    security(("accessToken" = [])),
    tags(
        (name = "pins", description = "The IPFS Pinning Service API 1.0.0"),
        (name = "health", description = "For supervisors and load balancers"),
    ),
)]
pub(crate) struct About;

/// The query of `GET /pins`, as the official document has it. What is read beyond it is said in `PinFilter::parse`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the fields describe the query, which PinFilter::parse reads")]
pub(crate) struct ListQuery {
    /// Return pin objects responsible for pinning the specified CID(s); be aware that using longer hash functions introduces further constraints on the number of CIDs that will fit under the limit of 2000 characters per URL  in browser contexts
    #[param(nullable = false, style = Form, explode = false, min_items = 1, max_items = 10, example = json!(["Qm1", "Qm2", "bafy3"]))]
    cid: Option<BTreeSet<String>>,
    /// Return pin objects with specified name (by default a case-sensitive, exact match)
    #[param(nullable = false, max_length = 255, example = "PreciousData.pdf")]
    name: Option<String>,
    /// Customize the text matching strategy applied when name filter is present
    #[param(nullable = false, rename = "match", example = "exact")]
    matching: Option<Match>,
    /// Return pin objects for pins with the specified status
    #[param(nullable = false, style = Form, explode = false, min_items = 1, example = json!(["queued", "pinning"]))]
    status: Option<BTreeSet<Status>>,
    /// Return results created (queued) before provided timestamp
    #[param(nullable = false, format = DateTime, example = "2020-07-27T17:32:28Z")]
    before: Option<String>,
    /// Return results created (queued) after provided timestamp
    #[param(nullable = false, format = DateTime, example = "2020-07-27T17:32:28Z")]
    after: Option<String>,
    /// Max records to return
    #[param(nullable = false, minimum = 1, maximum = 1000, default = 10)]
    limit: Option<i32>,
    #[param(schema_with = meta, required = false)]
    meta: Option<BTreeMap<String, String>>,
}

/// The failures that the official document names for every operation.
pub(crate) struct Failures;

const FAILURES: [(&str, &str, &str, [&str; 3]); 6] = [
    (
        "400",
        "BadRequest",
        "Error response (Bad request)",
        [
            "BAD_REQUEST",
            "Explanation for humans with more details",
            "A sample response to a bad request; reason will differ",
        ],
    ),
    (
        "401",
        "Unauthorized",
        "Error response (Unauthorized; access token is missing or invalid)",
        ["UNAUTHORIZED", "Access token is missing or invalid", "Response to an unauthorized request"],
    ),
    (
        "404",
        "NotFound",
        "Error response (The specified resource was not found)",
        [
            "NOT_FOUND",
            "The specified resource was not found",
            "Response to a request for a resource that does not exist",
        ],
    ),
    (
        "409",
        "InsufficientFunds",
        "Error response (Insufficient funds)",
        [
            "INSUFFICIENT_FUNDS",
            "Unable to process request due to the lack of funds",
            "Response when access token run out of funds",
        ],
    ),
    (
        "4XX",
        "CustomServiceError",
        "Error response (Custom service error)",
        [
            "CUSTOM_ERROR_CODE_FOR_MACHINES",
            "Optional explanation for humans with more details",
            "Response when a custom error occured",
        ],
    ),
    (
        "5XX",
        "InternalServerError",
        "Error response (Unexpected internal server error)",
        ["INTERNAL_SERVER_ERROR", "Explanation for humans with more details", "Response when unexpected error occured"],
    ),
];

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let named = |(code, name, ..): (&str, &str, _, _)| (code.to_owned(), Ref::from_response_name(name).into());
        FAILURES.into_iter().map(named).collect()
    }
}

/// What the attributes cannot say: the shared failures, how a token is sent, and that `meta` is JSON in a query.
struct Official;

impl Modify for Official {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        for (_, name, description, example) in FAILURES {
            components.responses.insert(name.to_owned(), failure(name, description, example).into());
        }
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some("An access token, sent as `Authorization: Bearer <access-token>`".to_owned());
        components.add_security_scheme("accessToken", SecurityScheme::Http(bearer));
    }
}

fn failure(name: &str, description: &str, [reason, details, summary]: [&str; 3]) -> Response {
    let example = ExampleBuilder::new()
        .summary(summary)
        .value(Some(json!({"error": {"reason": reason, "details": details}})))
        .build();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Failure")))
        .examples_from_iter([(format!("{name}Example"), example)])
        .build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

/// Move the schema of `meta` to where the document has it: the parameter is JSON, and no form field.
pub(crate) fn as_json_in_query(document: &mut OpenApi) {
    let lists = document.paths.paths.get_mut("/pins").and_then(|path| path.get.as_mut());
    let parameters = lists.and_then(|list| list.parameters.as_mut()).into_iter().flatten();
    for parameter in parameters {
        let RefOr::T(parameter) = parameter else { continue };
        if parameter.name == "meta" {
            parameter.description = Some("Return pin objects that match specified metadata".to_owned());
            let content = Content::new(parameter.schema.take());
            parameter.content.insert("application/json".to_owned(), content.into());
        }
    }
}
