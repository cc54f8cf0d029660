//! Who is asking, and whether it may: everything that is judged before the request itself is read.

use axum::http::{HeaderMap, header};
use pinrail_domain::{Act, NewPinRequest, Operation, Refusal, Standing, VerifiedToken, authorize, authorize_scope};
use pinrail_spec::{Pin, Timestamp};

use crate::error::ApiError;
use crate::limits::{Bucket, Place};
use crate::state::State;
use crate::verified::VerifyError;

/// The holder of a good token, with a place among its requests in flight.
pub(crate) struct Caller {
    token: VerifiedToken,
    standing: Standing,
    state: State,
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
        let unknown = || state.refuse(&Refusal::Unauthorized("the token is not known any more".to_owned()));
        let standing = storage.standing(&token.id()).await?.ok_or_else(unknown)?;
        authorize_scope(&token, &standing, act, now).map_err(|refusal| state.refuse(&refusal))?;
        state.last_used().note(token.id(), now);
        Ok(Self { token, standing, state: state.clone(), now, _place: place })
    }

    /// Judge what a narrowed token allows, once it is known which pin is meant.
    pub(crate) fn authorize(&self, operation: &Operation<'_>) -> Result<(), ApiError> {
        let judged = authorize(&self.token, &self.standing, operation, self.now);
        judged.map_err(|refusal| self.state.refuse(&refusal))
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

/// The token in `Authorization: Bearer <token>`, `bearer` in any case.
fn bearer(headers: &HeaderMap) -> Result<&str, &'static str> {
    const WANTED: &str = "the access token is missing, wanted the header Authorization: Bearer <access token>";
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(WANTED) };
    let (scheme, token) = value.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or(WANTED)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(WANTED) }
}
