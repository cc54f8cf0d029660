//! The bytes of answers that are being made or sent: one budget, with a share for each account.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use hyper::body::{Bytes, Frame, SizeHint};
use pinrail_domain::AccountId;
use pinrail_spec::Reason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::error::ApiError;
use crate::limits::Place;
use crate::shares::Shares;

/// The part of the budget that one account may hold: this fraction.
const ACCOUNT: usize = 4;
/// How long an answer waits for others to be sent.
const WAIT: Duration = Duration::from_secs(1);

/// The budget for answers.
pub(crate) struct AnswerBytes {
    size: usize,
    all: Arc<Semaphore>,
    accounts: Shares<AccountId>,
}

/// Bytes that an answer may have.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    all: OwnedSemaphorePermit,
    account: OwnedSemaphorePermit,
}

impl AnswerBytes {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, all: Arc::new(Semaphore::new(size)), accounts: Shares::new(size / ACCOUNT) }
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.size.saturating_sub(self.all.available_permits())
    }

    /// Wait for room for an answer of at most so many bytes, or say when to try again.
    pub(crate) async fn reserve(&self, account: AccountId, bytes: usize) -> Result<HeldBytes, ApiError> {
        let bytes = u32::try_from(bytes.min(self.size / ACCOUNT)).unwrap_or(u32::MAX);
        let share = timeout(WAIT, self.accounts.of(account).acquire_many_owned(bytes)).await.ok().and_then(Result::ok);
        let too_many = "too many long answers of this account are being sent, read them or ask for fewer at once";
        let account = share.ok_or_else(|| ApiError::new(Reason::TooManyRequests, too_many))?;
        let all = timeout(WAIT, Arc::clone(&self.all).acquire_many_owned(bytes)).await.ok().and_then(Result::ok);
        let full = || ApiError::new(Reason::Unavailable, "too many long answers are being sent, try again");
        Ok(HeldBytes { all: all.ok_or_else(full)?, account })
    }
}

impl HeldBytes {
    /// Give back what an answer of so many bytes does not need.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        for permit in [&mut self.all, &mut self.account] {
            let surplus = permit.num_permits().saturating_sub(bytes);
            drop(permit.split(surplus));
        }
    }
}

/// What belongs to an answer until it is sent or given up.
#[derive(Clone)]
pub(crate) struct Held {
    _held: Arc<(Place, Option<HeldBytes>)>,
}

impl Held {
    pub(crate) fn new(place: Place, bytes: Option<HeldBytes>) -> Self {
        Self { _held: Arc::new((place, bytes)) }
    }
}

/// Move what belongs to an answer into its body.
pub(crate) fn hold_until_sent(mut response: Response) -> Response {
    match response.extensions_mut().remove::<Held>() {
        Some(held) => response.map(|body| Body::new(HeldBody { body, _held: held })),
        None => response,
    }
}

/// A body with what belongs to it.
struct HeldBody {
    body: Body,
    _held: Held,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        pin!(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
