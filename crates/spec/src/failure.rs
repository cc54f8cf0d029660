//! The body of every error: `{"error":{"reason":"CODE","details":"sentence for people"}}`.

use serde::{Deserialize, Serialize};

/// Response for a failed request
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Failure {
    /// What went wrong, for machines and for people.
    #[cfg_attr(feature = "utoipa", schema(schema_with = crate::schema::failure_body))]
    pub error: FailureBody,
}

/// What went wrong, for machines and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureBody {
    /// The kind of failure, one of [`Reason`].
    pub reason: String,
    /// A sentence for people: what was wrong and what would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

impl Failure {
    /// A failure of a known kind with a sentence for people.
    pub fn new(reason: Reason, details: impl Into<String>) -> Self {
        Self { error: FailureBody { reason: reason.as_str().to_owned(), details: Some(details.into()) } }
    }
}

/// The kinds of failure that clients can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// 401: no token, or one that is not valid.
    Unauthorized,
    /// 403: the token does not allow this.
    Forbidden,
    /// 403: the account may not pin yet.
    PinningAccessRequired,
    /// 403: the account is blocked.
    AccountBlocked,
    /// 403: the operator blocked this CID.
    ContentBlocked,
    /// 400: the request is not well formed.
    BadRequest,
    /// 400: the codec is not one of the four.
    UnsupportedCodec,
    /// 400: the CID cannot be held.
    UnsupportedCid,
    /// 400: an IPNS name cannot be pinned.
    IpnsNotSupported,
    /// 404: no such thing for this account.
    NotFound,
    /// 405: the path knows other methods.
    MethodNotAllowed,
    /// 409: a limit of the account is reached.
    QuotaExceeded,
    /// 408: the body did not arrive in time.
    RequestTimeout,
    /// 413: the body is larger than 64 KiB.
    BodyTooLarge,
    /// 415: the body is compressed.
    UnsupportedMediaType,
    /// 429: too much at once.
    TooManyRequests,
    /// 500: our fault.
    InternalError,
    /// 503: no worker ever ran, so nobody could fetch.
    NoIpfsNode,
    /// 503: the database's disk is full, so nothing more is kept until there is room.
    DatabaseFull,
    /// 503: try again later.
    Unavailable,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::PinningAccessRequired,
        Self::AccountBlocked,
        Self::ContentBlocked,
        Self::BadRequest,
        Self::UnsupportedCodec,
        Self::UnsupportedCid,
        Self::IpnsNotSupported,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::QuotaExceeded,
        Self::RequestTimeout,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::TooManyRequests,
        Self::InternalError,
        Self::NoIpfsNode,
        Self::Unavailable,
    ];

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden => "FORBIDDEN",
            Self::PinningAccessRequired => "PINNING_ACCESS_REQUIRED",
            Self::AccountBlocked => "ACCOUNT_BLOCKED",
            Self::ContentBlocked => "CONTENT_BLOCKED",
            Self::BadRequest => "BAD_REQUEST",
            Self::UnsupportedCodec => "UNSUPPORTED_CODEC",
            Self::UnsupportedCid => "UNSUPPORTED_CID",
            Self::IpnsNotSupported => "IPNS_NOT_SUPPORTED",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::RequestTimeout => "REQUEST_TIMEOUT",
            Self::BodyTooLarge => "BODY_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::InternalError => "INTERNAL_ERROR",
            Self::NoIpfsNode => "NO_IPFS_NODE",
            Self::DatabaseFull => "DATABASE_FULL",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}
