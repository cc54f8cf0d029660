//! Narrowing a token offline: its holder appends checks, without a key and without asking the service.

use std::collections::BTreeSet;

use biscuit_auth::builder::{Algorithm, Check, Term, string};
use biscuit_auth::macros::check;
use biscuit_auth::{BlockBuilder, KeyPair, UnverifiedBiscuit, error};
use thiserror::Error;

use pinrail_spec::{RootKey, Timestamp};

use super::{MAX_TOKEN_BLOCKS, MAX_TOKEN_BYTES, Scopes, TokenError};

/// What a narrowed token is left with; what is absent stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restrictions {
    /// Only these operations, named as the scopes are.
    pub operations: Option<Scopes>,
    /// Only pins with this name.
    pub name: Option<NameRestriction>,
    /// Only pins of this CID, in whatever version and base.
    pub cid: Option<RootKey>,
    /// Only until then, cut to a whole second.
    pub expires: Option<Timestamp>,
}

/// Which names a narrowed token is left with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameRestriction {
    /// This one.
    Exact(String),
    /// Those that begin so.
    Prefix(String),
}

/// Why a token cannot be narrowed as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AttenuateError {
    /// It is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nothing was asked.
    #[error("no restriction given, wanted operations, a name, a CID or an expiry")]
    Nothing,
    /// No operation would be left.
    #[error("no operation is left, wanted at least one of pins:read, pins:write and pins:delete")]
    NoOperation,
    /// The CID cannot be written in version 1 and base32.
    #[error("the CID cannot be written in version 1")]
    Cid,
    /// The token was sealed: its holder may not narrow it.
    #[error("the token was sealed, so it cannot be narrowed")]
    Sealed,
}

/// Append one block with these restrictions to the token `text`. Nothing of the token is verified, and no key is
/// needed; `random` is 32 bytes of the system's randomness. The result is never longer than the service accepts.
pub fn attenuate(text: &str, restrictions: &Restrictions, random: [u8; 32]) -> Result<String, AttenuateError> {
    let checks = checks(restrictions)?;
    if checks.is_empty() {
        return Err(AttenuateError::Nothing);
    }
    let token = UnverifiedBiscuit::from_base64(text).map_err(|_| TokenError::Malformed)?;
    let pair = KeyPair::from_bytes(&random, Algorithm::Ed25519.into()).map_err(|_| TokenError::Malformed)?;
    let mut block = BlockBuilder::new();
    block.checks = checks;
    let narrowed = token.append_with_keypair(&pair, block).map_err(|cause| match cause {
        error::Token::AppendOnSealed => AttenuateError::Sealed,
        _ => AttenuateError::Token(TokenError::Malformed),
    })?;
    if narrowed.block_count() > MAX_TOKEN_BLOCKS {
        return Err(TokenError::TooManyBlocks(narrowed.block_count()).into());
    }
    let text = narrowed.to_base64().map_err(|_| TokenError::Malformed)?;
    if text.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong(text.len()).into());
    }
    Ok(text)
}

fn checks(restrictions: &Restrictions) -> Result<Vec<Check>, AttenuateError> {
    let mut checks = Vec::new();
    if let Some(operations) = &restrictions.operations {
        if operations.is_empty() {
            return Err(AttenuateError::NoOperation);
        }
        let names = Term::Set(operations.iter().map(|scope| string(scope.as_str())).collect::<BTreeSet<_>>());
        checks.push(check!("check if operation($operation), {names}.contains($operation)"));
    }
    match &restrictions.name {
        None => {}
        Some(NameRestriction::Exact(name)) => checks.push(check!("check if pin_name({name})", name = name.as_str())),
        Some(NameRestriction::Prefix(prefix)) => {
            checks.push(check!("check if pin_name($name), $name.starts_with({prefix})", prefix = prefix.as_str()));
        }
    }
    if let Some(root) = &restrictions.cid {
        let cid = root.to_cid().map_err(|_| AttenuateError::Cid)?.to_string();
        checks.push(check!("check if pin_cid({cid})"));
    }
    if let Some(expires) = restrictions.expires {
        let date = Term::Date(u64::try_from(expires.as_millis() / 1000).unwrap_or(0));
        checks.push(check!("check if time($time), $time < {date}"));
    }
    Ok(checks)
}
