//! Who is asking, and whether it may: everything that is judged before the request itself is read.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use pinrail_domain::{Act, NewPinRequest, Operation, Refusal, Standing, VerifiedToken, authorize, authorize_scope};
use pinrail_spec::{Pin, PinStatus, Timestamp};

use crate::budget::{Held, HeldBytes};
use crate::client_address::ClientAddress;
use crate::error::ApiError;
use crate::limits::{Bucket, Place};
use crate::request_log::{self, timed};
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
    place: Place,
}

impl Caller {
    /// Judge the token (401), its rate (429), and its scopes and account (403), in this order.
    pub(crate) async fn admit(
        state: &State,
        credentials: Credentials<'_>,
        act: Act,
        bucket: Bucket,
    ) -> Result<Self, ApiError> {
        let now = state.now();
        let token = verify(state, credentials, now).await?;
        let storage = state.storage();
        request_log::note_caller(&token);
        let place = match state.limits() {
            Some(limits) => limits.admit(&token, bucket, storage).await?,
            None => Place::default(),
        };
        // A place may have been waited for: only now the token is judged by what the database says.
        let revision = storage.revision();
        let standing = stand(state, revision, &token).await?;
        authorize_scope(&token, &standing, act, now).map_err(|refusal| state.refuse(&refusal))?;
        state.last_used().note(token.id(), now);
        Ok(Self { token, standing, state: state.clone(), revision, now, place })
    }

    /// Count what a request costs beyond one of its kind (429).
    pub(crate) fn charge(&self, bucket: Bucket, cost: u32) -> Result<(), ApiError> {
        self.place.charge(bucket, cost)
    }

    /// Judge what a narrowed token allows, once it is known which pin is meant.
    pub(crate) fn authorize(&self, operation: &Operation<'_>) -> Result<(), ApiError> {
        let judged = authorize(&self.token, &self.standing, operation, self.now);
        judged.map_err(|refusal| self.state.refuse(&refusal))
    }

    /// Answer `asked`, which changes nothing, with the document that `make` comes to, or as it was answered before if that
    /// still holds. A narrowed token is judged by what is found, so for it that is made each time.
    pub(crate) async fn answer(
        &self,
        asked: &Uri,
        make: impl Future<Output = Result<Document, ApiError>>,
    ) -> Result<Document, ApiError> {
        let Some(revision) = self.revision.filter(|_| !self.token.is_narrowed()) else { return make.await };
        let asked = (self.account(), asked.path_and_query().map(ToString::to_string).unwrap_or_default());
        if let Some(body) = self.state.answers().body(revision, self.now, &asked) {
            let held = self.reserve(body.len()).await?;
            return Ok(Document { body, held: Some(held) });
        }
        let document = make.await?;
        self.state.answers().keep_body(revision, self.now, asked, &document.body);
        Ok(document)
    }

    /// Wait for room for an answer of at most so many bytes (429, 503).
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<HeldBytes, ApiError> {
        self.state.answer_bytes().reserve(self.account(), bytes).await
    }

    /// Send a document. The caller's place among the requests in flight is given back when it is sent.
    pub(crate) fn send(self, status: StatusCode, document: Document) -> Response {
        let content = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut response = (status, content, document.body).into_response();
        response.extensions_mut().insert(Held::new(self.place, document.held));
        response
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
    let standing = Arc::new(timed("standing", state.storage().standing(&token.id())).await?.ok_or_else(unknown)?);
    if let Some(revision) = revision {
        state.answers().keep_standing(revision, &standing);
    }
    Ok(standing)
}

/// What a request says of who asks.
pub(crate) struct Credentials<'a> {
    headers: &'a HeaderMap,
    client: Option<ClientAddress>,
}

impl<'a> Credentials<'a> {
    /// Those of a request.
    pub(crate) fn of(request: &'a Request) -> Self {
        Self { headers: request.headers(), client: request.extensions().get().copied() }
    }
}

/// The token that a request carries, verified.
async fn verify(
    state: &State,
    Credentials { headers, client }: Credentials<'_>,
    now: Timestamp,
) -> Result<VerifiedToken, ApiError> {
    let text = match bearer(headers) {
        Ok(text) => text,
        Err(why) => {
            state.strangers().map_or(Ok(()), |strangers| strangers.count(client))?;
            return Err(state.refuse(&Refusal::Unauthorized(why.to_owned())));
        }
    };
    let storage = state.storage();
    if let Some(token) = state.tokens().known(text, storage, now).await? {
        return Ok(token);
    }
    let _verifying = match state.strangers() {
        Some(strangers) => Some(strangers.admit(client).await?),
        None => None,
    };
    state.tokens().verify(text, storage, now).await.map_err(|error| match error {
        VerifyError::Refused(refusal) => state.refuse(&refusal),
        VerifyError::Storage(error) => error.into(),
    })
}

/// JSON to be sent, with its room among the answers.
pub(crate) struct Document {
    body: Bytes,
    held: Option<HeldBytes>,
}

impl Document {
    /// One pin.
    pub(crate) fn pin(status: &PinStatus) -> Result<Self, ApiError> {
        let mut body = Vec::new();
        write(&mut body, status)?;
        Ok(Self { body: body.into(), held: None })
    }

    /// A page of pins: as many of them as fit into `limit` bytes, one at least.
    pub(crate) fn page(
        count: u64,
        pins: impl Iterator<Item = PinStatus>,
        limit: usize,
        mut held: HeldBytes,
    ) -> Result<Self, ApiError> {
        let mut body = format!("{{\"count\":{count},\"results\":[").into_bytes();
        for (index, pin) in pins.enumerate() {
            if index > 0 {
                if body.len() >= limit {
                    break;
                }
                body.push(b',');
            }
            write(&mut body, &pin)?;
        }
        body.extend_from_slice(b"]}");
        held.shrink(body.len());
        Ok(Self { body: body.into(), held: Some(held) })
    }
}

fn write(to: &mut Vec<u8>, pin: &PinStatus) -> Result<(), ApiError> {
    serde_json::to_writer(to, pin).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        ApiError::internal()
    })
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

#[cfg(test)]
mod tests {
    use pinrail_domain::AccountId;
    use pinrail_spec::{Cid, Status};
    use serde_json::Value;

    use super::*;
    use crate::budget::AnswerBytes;

    fn status(name: &str) -> PinStatus {
        let cid = Cid::parse("bafkqaaa").unwrap();
        let pin = Pin { cid, name: Some(name.to_owned()), origins: Vec::new(), meta: [].into() };
        let created = Timestamp::from_millis(0);
        PinStatus {
            requestid: "id".to_owned(),
            status: Status::Pinned,
            created,
            pin,
            delegates: Vec::new(),
            info: [].into(),
        }
    }

    #[tokio::test]
    async fn a_page_ends_with_the_pin_that_fills_it() {
        let account = AccountId::new(Timestamp::from_millis(0), [0; 10]);
        let budget = AnswerBytes::new(1 << 20);
        for (limit, fits) in [(0, 1), (30, 1), (500, 2), (900, 3), (10_000, 4)] {
            let held = budget.reserve(account, 10_000).await.unwrap();
            // Each is as long as its name and 100 to 200 bytes.
            let pins = ["a", "b", "c", "d"].map(|name| status(&name.repeat(250)));
            let page = Document::page(4, pins.into_iter(), limit, held).unwrap();
            let json: Value = serde_json::from_slice(&page.body).unwrap();
            assert_eq!((&json["count"], json["results"].as_array().unwrap().len()), (&Value::from(4), fits), "{limit}");
            assert_eq!(budget.held(), page.body.len(), "what it does not need is given back");
        }
        assert_eq!(budget.held(), 0);
    }
}
