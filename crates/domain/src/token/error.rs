//! Why a text is not a token of this service.

use thiserror::Error;

use super::verify::{MAX_TOKEN_BLOCKS, MAX_TOKEN_BYTES};

/// Why a text is not a token that this service accepts; each is a 401.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the token has {0} bytes, wanted at most {MAX_TOKEN_BYTES}")]
    TooLong(usize),
    /// Not a biscuit in URL-safe base64.
    #[error("this is not a token of Pinrail, which is a biscuit in URL-safe base64")]
    Malformed,
    /// More than [`MAX_TOKEN_BLOCKS`].
    #[error("the token has {0} blocks, wanted at most {MAX_TOKEN_BLOCKS}: narrow it fewer times")]
    TooManyBlocks(usize),
    /// It names no key, or one that is not in the ring.
    #[error("the token was signed with a key that this service does not know")]
    UnknownKey,
    /// Its key was revoked.
    #[error("the key that signed the token was revoked, mint a new token")]
    RevokedKey,
    /// A block is signed with another algorithm than Ed25519.
    #[error("a block of the token is not signed with Ed25519, narrow it with an Ed25519 key")]
    Algorithm,
    /// A signature does not match.
    #[error("the token's signature is not valid")]
    Signature,
    /// It is another Pinrail's.
    #[error("the token was minted by another service")]
    OtherService,
    /// Its first block, which the service signs, is not of the form that this version mints.
    #[error("the token was minted in a form that this version does not know")]
    UnknownForm,
    /// A block that a holder appended asks more than is allowed.
    #[error("the token is narrowed in a way that is not allowed, block {block}: {why}")]
    Narrowing {
        /// Which block, counted from 1; block 0 is the service's.
        block: usize,
        /// What is not allowed and what would be.
        why: &'static str,
    },
}
