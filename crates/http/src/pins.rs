//! The five operations of the Pinning Service API.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use pinrail_domain::{Act, Operation, PinRequest, RequestId, Subject, status_of};
use pinrail_spec::{Match, Pin, PinFilter, PinResults, PinStatus};

use crate::body;
use crate::caller::{Caller, Credentials, Document};
use crate::error::ApiError;
use crate::limits::Bucket;
use crate::openapi::{Failures, ListQuery};
use crate::request_log::{note_accepted, note_removed, timed};
use crate::state::State;

/// A page ends with the pin that brings it to so many bytes.
const PAGE_BYTES: usize = 2 << 20;
/// The most bytes of one pin in a page, but for those with names or meta of many control characters.
const PIN_BYTES: usize = 32 << 10;
/// What a list costs beyond one, for each pair of meta that is looked for.
const PAIR_COST: u32 = 5;
/// The same for a part of a name, which no index may find.
const PART_COST: u32 = 20;
/// The same for each so many pins of its page.
const PINS_FOR_ONE: u16 = 100;

/// List pin objects
///
/// List all the pin objects, matching optional filters; when no filter is provided, only successful pins are returned
#[utoipa::path(
    get, path = "/pins", tag = "pins", params(ListQuery),
    responses((status = 200, description = "Successful response (PinResults object)", body = PinResults), Failures)
)]
pub(crate) async fn list_pins(Shared(state): Shared<State>, request: Request) -> Result<Response, ApiError> {
    let caller = Caller::admit(&state, Credentials::of(&request), Act::Read, Bucket::Reads).await?;
    let asked = request.uri();
    let listing = async {
        let filter = PinFilter::parse(asked.query().unwrap_or_default(), state.settings().literal_status_filter)?;
        caller.authorize(&Operation::list(&filter))?;
        caller.charge(Bucket::Reads, cost(&filter))?;
        let most = (usize::from(filter.limit) * PIN_BYTES).min(PAGE_BYTES + PIN_BYTES);
        let held = caller.reserve(most).await?;
        let account = caller.account();
        let page = state.pin_requests().list_pin_requests(&account, &filter, caller.now);
        let page = timed("list_pin_requests", page).await?;
        Document::page(page.count, page.requests.iter().map(status_of), PAGE_BYTES, held)
    };
    let page = caller.answer(asked, listing).await?;
    Ok(caller.send(StatusCode::OK, page))
}

/// What a list costs beyond one.
fn cost(filter: &PinFilter) -> u32 {
    let pairs = u32::try_from(filter.meta.len()).unwrap_or(u32::MAX);
    let is_part = |matching| matches!(matching, Match::Partial | Match::Ipartial);
    let part = filter.name.as_ref().is_some_and(|name| is_part(name.matching));
    pairs * PAIR_COST + if part { PART_COST } else { 0 } + u32::from(filter.limit / PINS_FOR_ONE)
}

/// Add pin object
///
/// Add a new pin object for the current access token
#[utoipa::path(
    post, path = "/pins", tag = "pins", request_body = Pin,
    responses((status = 202, description = "Successful response (PinStatus object)", body = PinStatus), Failures)
)]
pub(crate) async fn add_pin(Shared(state): Shared<State>, request: Request) -> Result<Response, ApiError> {
    let caller = Caller::admit(&state, Credentials::of(&request), Act::Add, Bucket::Writes).await?;
    state.check_room()?;
    let pin = read_pin(request, &state).await?;
    caller.authorize(&Operation::Add(Subject::from(&pin)))?;
    let request = caller.request(pin);
    let added = timed("add_pin_request", state.pin_requests().add_pin_request(&request, caller.now)).await;
    let added = added.map_err(|error| state.not_accepted(error))?;
    note_accepted(&added);
    Ok(caller.send(StatusCode::ACCEPTED, Document::pin(&status_of(&added))?))
}

/// Get pin object
///
/// Get a pin object and its status
#[utoipa::path(
    get, path = "/pins/{requestid}", tag = "pins", params(("requestid" = String, Path)),
    responses((status = 200, description = "Successful response (PinStatus object)", body = PinStatus), Failures)
)]
pub(crate) async fn find_pin(
    Shared(state): Shared<State>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = Caller::admit(&state, Credentials::of(&request), Act::Read, Bucket::Polls).await?;
    let finding = async {
        let found = find(&state, &caller, path, Act::Read).await?;
        caller.authorize(&Operation::Read(Subject::from(&found.pin)))?;
        Document::pin(&status_of(&found))
    };
    let found = caller.answer(request.uri(), finding).await?;
    Ok(caller.send(StatusCode::OK, found))
}

/// Replace pin object
///
/// Replace an existing pin object (shortcut for executing remove and add operations in one step to avoid unnecessary garbage collection of blocks present in both recursive pins)
#[utoipa::path(
    post, path = "/pins/{requestid}", tag = "pins", params(("requestid" = String, Path)), request_body = Pin,
    responses((status = 202, description = "Successful response (PinStatus object)", body = PinStatus), Failures)
)]
pub(crate) async fn replace_pin(
    Shared(state): Shared<State>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = Caller::admit(&state, Credentials::of(&request), Act::Replace, Bucket::Writes).await?;
    state.check_room()?;
    let pin = read_pin(request, &state).await?;
    // The new pin is judged before the old one is looked up: the 403 of a narrowed token comes before the 404.
    caller.authorize(&Operation::Add(Subject::from(&pin)))?;
    let old = find(&state, &caller, path, Act::Replace).await?;
    caller.authorize(&Operation::Replace { old: Subject::from(&old.pin), new: Subject::from(&pin) })?;
    let request = caller.request(pin);
    let replaced = state.pin_requests().replace_pin_request(&old.id, &request, caller.now);
    let replaced = timed("replace_pin_request", replaced).await;
    let replaced = replaced.map_err(|error| state.not_accepted(error))?.ok_or_else(ApiError::unknown_request)?;
    note_accepted(&replaced);
    Ok(caller.send(StatusCode::ACCEPTED, Document::pin(&status_of(&replaced))?))
}

/// Remove pin object
///
/// Remove a pin object
#[utoipa::path(
    delete, path = "/pins/{requestid}", tag = "pins", params(("requestid" = String, Path)),
    responses((status = 202, description = "Successful response (no body, pin removed)"), Failures)
)]
pub(crate) async fn remove_pin(
    Shared(state): Shared<State>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let caller = Caller::admit(&state, Credentials::of(&request), Act::Delete, Bucket::Writes).await?;
    let found = find(&state, &caller, path, Act::Delete).await?;
    caller.authorize(&Operation::Delete(Subject::from(&found.pin)))?;
    let account = caller.account();
    let removed = state.pin_requests().remove_pin_request(&account, &found.id, caller.now);
    if !timed("remove_pin_request", removed).await? {
        return Err(ApiError::unknown_request());
    }
    note_removed(&found.id);
    Ok(StatusCode::ACCEPTED)
}

async fn read_pin(request: Request, state: &State) -> Result<Pin, ApiError> {
    let body = body::read(request, state.settings()).await?;
    Ok(Pin::parse(&body, state.settings().allow_private_origins)?)
}

/// The caller's request with the id in the path. Where there is none, a narrowed token that does not allow `act` at all
/// is told that (403), and only then that there is none (404).
async fn find(
    state: &State,
    caller: &Caller,
    path: Result<Path<String>, PathRejection>,
    act: Act,
) -> Result<PinRequest, ApiError> {
    if let Some(id) = read_id(path)
        && let Some(found) =
            timed("find_pin_request", state.pin_requests().find_pin_request(&caller.account(), &id, caller.now)).await?
    {
        return Ok(found);
    }
    caller.authorize(&Operation::Absent(act))?;
    Err(ApiError::unknown_request())
}

/// The id in the path. What is not written as this service writes its ids is the id of nothing.
fn read_id(path: Result<Path<String>, PathRejection>) -> Option<RequestId> {
    let Path(text) = path.ok()?;
    let id = text.parse::<RequestId>().ok()?;
    (id.to_string() == text).then_some(id)
}
