//! Reading the body of a request: in time, and no more than its limit.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Frame, SizeHint};
use pinrail_spec::Reason;

use crate::error::ApiError;
use crate::settings::{BODY_LIMIT, Settings};

/// The most of a body that is thrown away, so that a client that sends before it reads gets the answer rather than a
/// connection that is reset.
const THROWN_AWAY: usize = 16 * BODY_LIMIT;

/// How long that may take: the answer is known by then.
const THROWN_AWAY_WITHIN: Duration = Duration::from_secs(1);

/// Read a whole body; 415 when it is compressed, 413 over the limit, 408 when it does not arrive in time.
///
/// A client that waits for a word before it sends (`Expect: 100-continue`) gets it with the first read, so one that has
/// announced too much is refused before that.
pub(crate) async fn read(request: Request, settings: &Settings) -> Result<Vec<u8>, ApiError> {
    if let Some(encoding) = request.headers().get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let details = format!("the body has the Content-Encoding {encoding:?}, wanted it without one");
        return Err(ApiError::new(Reason::UnsupportedMediaType, details));
    }
    let body = request.into_body();
    let announced_too_much = body.size_hint().lower() > BODY_LIMIT as u64;
    if !announced_too_much && let Some(whole) = read_in_time(body, settings.body_timeout).await? {
        return Ok(whole);
    }
    Err(ApiError::new(Reason::BodyTooLarge, format!("the body is too large, wanted at most {BODY_LIMIT} bytes")))
}

async fn read_in_time(body: Body, limit: Duration) -> Result<Option<Vec<u8>>, ApiError> {
    tokio::time::timeout(limit, read_limited(body)).await.unwrap_or_else(|_| {
        let seconds = limit.as_secs();
        Err(ApiError::new(Reason::RequestTimeout, format!("the body did not arrive within {seconds} s")))
    })
}

/// The whole body, or `None` if it is over the limit.
async fn read_limited(body: Body) -> Result<Option<Vec<u8>>, ApiError> {
    let mut read = Vec::new();
    let mut limited = Limited::new(body, BODY_LIMIT);
    loop {
        match limited.frame().await {
            None => return Ok(Some(read)),
            Some(Ok(frame)) => read.extend(frame.into_data().unwrap_or_default()),
            Some(Err(error)) if error.is::<LengthLimitError>() => return Ok(None),
            Some(Err(_)) => return Err(ApiError::new(Reason::BadRequest, "the body broke off")),
        }
    }
}

/// A body that is lent to the handler: what is left of it can be thrown away.
#[derive(Clone)]
pub(crate) struct Lent(Arc<Mutex<Body>>);

/// Lend the body of a request; `None` if there is none, or if its client sends it only once it is asked to.
pub(crate) fn lend(request: Request) -> (Request, Option<Lent>) {
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    let lent = Lent(Arc::new(Mutex::new(body)));
    (Request::from_parts(parts, Body::new(lent.clone())), Some(lent))
}

/// Take what is left of a body, as far as it comes at once. An answer that overtakes it ends the connection over
/// HTTP/1, and over HTTP/2 resets the stream: curl then tells of the reset instead of the answer.
pub(crate) async fn throw_away(body: Lent) {
    let mut rest = Limited::new(body, THROWN_AWAY);
    let all = async { while let Some(Ok(_)) = rest.frame().await {} };
    let _ = tokio::time::timeout(THROWN_AWAY_WITHIN, all).await;
}

impl Lent {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}
