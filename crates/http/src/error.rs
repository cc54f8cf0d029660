//! Failures as clients read them: a status code, a JSON body, and when to try again. The only place that knows codes.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pinrail_spec::{Failure, FilterError, PinError, Reason};
use pinrail_storage::StorageError;

/// A request that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    reason: Reason,
    failure: Failure,
    retry_after_seconds: Option<u64>,
}

impl ApiError {
    /// A failure of this kind with a sentence for people.
    pub(crate) fn new(reason: Reason, details: impl Into<String>) -> Self {
        Self::from_failure(reason, Failure::new(reason, details))
    }

    /// A failure of this kind whose body is already made.
    pub(crate) fn from_failure(reason: Reason, failure: Failure) -> Self {
        let temporary = matches!(reason, Reason::Unavailable | Reason::TooManyRequests);
        let retry_after_seconds = match reason {
            Reason::NoIpfsNode => Some(10),
            Reason::DatabaseFull => Some(60),
            _ => temporary.then_some(1),
        };
        Self { status: status_code(reason), reason, failure, retry_after_seconds }
    }

    /// The same, to be tried again after so many seconds.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds.max(1));
        self
    }

    /// 404 for what is not there and for what is another account's: the two can not be told apart.
    pub(crate) fn unknown_request() -> Self {
        Self::new(Reason::NotFound, "there is no pin request with this id in this account")
    }
}

/// The status code of a kind of failure.
fn status_code(reason: Reason) -> StatusCode {
    match reason {
        Reason::BadRequest | Reason::UnsupportedCodec | Reason::UnsupportedCid | Reason::IpnsNotSupported => {
            StatusCode::BAD_REQUEST
        }
        Reason::Unauthorized => StatusCode::UNAUTHORIZED,
        Reason::Forbidden | Reason::PinningAccessRequired | Reason::AccountBlocked | Reason::ContentBlocked => {
            StatusCode::FORBIDDEN
        }
        Reason::NotFound => StatusCode::NOT_FOUND,
        Reason::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Reason::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Reason::QuotaExceeded => StatusCode::CONFLICT,
        Reason::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Reason::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        Reason::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        Reason::NoIpfsNode | Reason::DatabaseFull | Reason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        tracing::debug!(reason = self.reason.as_str(), details = self.failure.error.details, "refused");
        let mut response = (self.status, Json(self.failure)).into_response();
        // For the request's line in the log.
        response.extensions_mut().insert(self.reason);
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<PinError> for ApiError {
    fn from(error: PinError) -> Self {
        Self::new(error.reason(), error.to_string())
    }
}

impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        Self::new(Reason::BadRequest, error.to_string())
    }
}

/// What went wrong inside is logged, and not told to the client.
impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Quota(quota) => Self::new(Reason::QuotaExceeded, quota.to_string()),
            StorageError::NoNode => {
                Self::new(Reason::NoIpfsNode, "this service has no IPFS node yet, so nothing could be fetched")
            }
            StorageError::Missing(what) => Self::new(Reason::Unauthorized, format!("{what} is not there any more")),
            StorageError::Busy(why) => Self::new(Reason::TooManyRequests, why),
            StorageError::Full(_) => {
                tracing::warn!(%error, "answered 503");
                Self::database_full()
            }
            StorageError::Unavailable(_) => {
                tracing::warn!(%error, "answered 503");
                Self::new(Reason::Unavailable, "the service cannot reach its database at the moment, try again")
            }
            StorageError::Corrupt(_) | StorageError::LeaseLost | StorageError::Conflict(_) => {
                tracing::error!(%error, "answered 500");
                Self::internal()
            }
        }
    }
}

impl ApiError {
    /// 503 for what would take up more of a disk that has no room left.
    pub(crate) fn database_full() -> Self {
        Self::new(
            Reason::DatabaseFull,
            "the disk of the service's database is full, so nothing new is kept; reading and deleting go on",
        )
    }

    /// 500, with nothing of what went wrong inside.
    pub(crate) fn internal() -> Self {
        Self::new(Reason::InternalError, "something went wrong inside the service, its log says what")
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use pinrail_spec::Reason;
    use pinrail_storage::StorageError;

    use super::ApiError;

    #[test]
    fn each_reason_has_its_code_and_says_when_to_try_again() {
        for (reason, code, again) in [
            (Reason::BadRequest, 400, false),
            (Reason::UnsupportedCodec, 400, false),
            (Reason::UnsupportedCid, 400, false),
            (Reason::IpnsNotSupported, 400, false),
            (Reason::Unauthorized, 401, false),
            (Reason::Forbidden, 403, false),
            (Reason::PinningAccessRequired, 403, false),
            (Reason::AccountBlocked, 403, false),
            (Reason::ContentBlocked, 403, false),
            (Reason::NotFound, 404, false),
            (Reason::MethodNotAllowed, 405, false),
            (Reason::RequestTimeout, 408, false),
            (Reason::QuotaExceeded, 409, false),
            (Reason::BodyTooLarge, 413, false),
            (Reason::UnsupportedMediaType, 415, false),
            (Reason::TooManyRequests, 429, true),
            (Reason::InternalError, 500, false),
            (Reason::NoIpfsNode, 503, true),
            (Reason::DatabaseFull, 503, true),
            (Reason::Unavailable, 503, true),
        ] {
            let response = ApiError::new(reason, "why").into_response();
            assert_eq!(response.status(), code, "{reason:?}");
            assert_eq!(response.headers().contains_key("retry-after"), again, "{reason:?}");
        }
    }

    #[test]
    fn what_went_wrong_inside_stays_inside() {
        for (error, code) in [
            (StorageError::Unavailable("secret".to_owned()), StatusCode::SERVICE_UNAVAILABLE),
            (StorageError::Full("secret".to_owned()), StatusCode::SERVICE_UNAVAILABLE),
            (StorageError::Corrupt("secret".to_owned()), StatusCode::INTERNAL_SERVER_ERROR),
            (StorageError::Conflict("secret".to_owned()), StatusCode::INTERNAL_SERVER_ERROR),
        ] {
            let told = ApiError::from(error);
            assert_eq!(told.status, code);
            assert!(!told.failure.error.details.unwrap().contains("secret"));
        }
    }
}
