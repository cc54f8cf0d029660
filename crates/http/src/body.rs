//! Reading the body of a request: in time, and no more than its limit.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use pinrail_spec::Reason;

use crate::error::ApiError;
use crate::settings::{BODY_LIMIT, Settings};

/// The most of a body over the limit that is taken and thrown away, so that a client that sends before it reads gets
/// the answer rather than a connection that is reset.
const THROWN_AWAY: usize = 16 * BODY_LIMIT;

/// Read a whole body; 413 over the limit, 408 when it does not arrive in time.
///
/// A client that waits for a word before it sends (`Expect: 100-continue`) gets it with the first read, so one that has
/// announced too much is refused before that.
pub(crate) async fn read(request: Request, settings: &Settings) -> Result<Vec<u8>, ApiError> {
    let waits = request.headers().contains_key(header::EXPECT);
    let body = request.into_body();
    if waits && body.size_hint().lower() > BODY_LIMIT as u64 {
        return Err(too_large());
    }
    let reading = tokio::time::timeout(settings.body_timeout, read_limited(body));
    reading.await.unwrap_or_else(|_| {
        let seconds = settings.body_timeout.as_secs();
        Err(ApiError::new(Reason::RequestTimeout, format!("the body did not arrive within {seconds} s")))
    })
}

async fn read_limited(mut body: Body) -> Result<Vec<u8>, ApiError> {
    let mut read = Vec::new();
    let mut limited = Limited::new(&mut body, BODY_LIMIT);
    loop {
        match limited.frame().await {
            None => return Ok(read),
            Some(Ok(frame)) => read.extend(frame.into_data().unwrap_or_default()),
            Some(Err(error)) if error.is::<LengthLimitError>() => break,
            Some(Err(_)) => return Err(ApiError::new(Reason::BadRequest, "the body broke off")),
        }
    }
    let mut rest = Limited::new(body, THROWN_AWAY);
    while let Some(Ok(_)) = rest.frame().await {}
    Err(too_large())
}

fn too_large() -> ApiError {
    ApiError::new(Reason::BodyTooLarge, format!("the body is too large, wanted at most {BODY_LIMIT} bytes"))
}
