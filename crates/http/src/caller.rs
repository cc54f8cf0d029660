//! Who is asking, and whether it may: everything that is judged before the request itself is read.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use pinrail_domain::{Act, NewPinRequest, Operation, Refusal, Standing, VerifiedToken, authorize, authorize_scope};
use pinrail_spec::{Pin, Timestamp};
use serde::Serialize;

use crate::error::ApiError;
use crate::limits::{Bucket, Place};
use crate::state::State;
use crate::verified::VerifyError;

/// The holder of a good token, with a place among its requests in flight.
pub(crate) struct Caller {
    token: VerifiedToken,
    standing: Arc<Standing>,
    state: State,
    /// The database's, from before anything was read.
    revision: Option<u64>,
    /// When it asked.
    pub(crate) now: Timestamp,
    _place: Place,
}

impl Caller {
    /// Judge the token (401), its rate (429), and its scopes and account (403), in this order.
    pub(crate) async fn admit(state: &State, headers: &HeaderMap, act: Act, bucket: Bucket) -> Result<Self, ApiError> {
        let text = bearer(headers).map_err(|why| state.refuse(&Refusal::Unauthorized(why.to_owned())))?;
        let now = state.now();
        let storage = state.storage();
        let token = state.tokens().verify(text, storage, now).await.map_err(|error| match error {
            VerifyError::Refused(refusal) => state.refuse(&refusal),
            VerifyError::Storage(error) => error.into(),
        })?;
        let place = match state.limits() {
            Some(limits) => limits.admit(&token, bucket, storage).await?,
            None => Place::UNLIMITED,
        };
        // A place may have been waited for: only now the token is judged by what the database says.
        let revision = storage.revision();
        let standing = stand(state, revision, &token).await?;
        authorize_scope(&token, &standing, act, now).map_err(|refusal| state.refuse(&refusal))?;
        state.last_used().note(token.id(), now);
        Ok(Self { token, standing, state: state.clone(), revision, now, _place: place })
    }

    /// Judge what a narrowed token allows, once it is known which pin is meant.
    pub(crate) fn authorize(&self, operation: &Operation<'_>) -> Result<(), ApiError> {
        let judged = authorize(&self.token, &self.standing, operation, self.now);
        judged.map_err(|refusal| self.state.refuse(&refusal))
    }

    /// Answer `asked`, which changes nothing, with what `make` comes to, or as it was answered before if that still
    /// holds. A narrowed token is judged by what is found, so for it that is made each time.
    pub(crate) async fn answer<T: Serialize>(
        &self,
        asked: &Uri,
        make: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<Response, ApiError> {
        let Some(revision) = self.revision.filter(|_| !self.token.is_narrowed()) else {
            return Ok(as_json(document(&make.await?)?));
        };
        let asked = (self.account(), asked.path_and_query().map(ToString::to_string).unwrap_or_default());
        if let Some(body) = self.state.answers().body(revision, self.now, &asked) {
            return Ok(as_json(body));
        }
        let body = document(&make.await?)?;
        self.state.answers().keep_body(revision, self.now, asked, &body);
        Ok(as_json(body))
    }

    /// Whose pins are meant.
    pub(crate) fn account(&self) -> pinrail_domain::AccountId {
        self.token.account()
    }

    /// `pin` as a request of this caller.
    pub(crate) fn request(&self, pin: Pin) -> NewPinRequest {
        NewPinRequest { id: self.state.new_request_id(), account: self.account(), token: self.token.id(), pin }
    }
}

/// How a token stands at `revision` or later.
async fn stand(state: &State, revision: Option<u64>, token: &VerifiedToken) -> Result<Arc<Standing>, ApiError> {
    if let Some(known) = revision.and_then(|revision| state.answers().standing(revision, &token.id())) {
        return Ok(known);
    }
    let unknown = || state.refuse(&Refusal::unknown_token());
    let standing = Arc::new(state.storage().standing(&token.id()).await?.ok_or_else(unknown)?);
    if let Some(revision) = revision {
        state.answers().keep_standing(revision, &standing);
    }
    Ok(standing)
}

fn document<T: Serialize>(value: &T) -> Result<Bytes, ApiError> {
    let document = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        ApiError::internal()
    })?;
    Ok(document.into())
}

fn as_json(document: Bytes) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document).into_response()
}

/// The token in `Authorization: Bearer <token>`, `bearer` in any case.
fn bearer(headers: &HeaderMap) -> Result<&str, &'static str> {
    const WANTED: &str = "the access token is missing, wanted the header Authorization: Bearer <access token>";
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(WANTED) };
    let (scheme, token) = value.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or(WANTED)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(WANTED) }
}
