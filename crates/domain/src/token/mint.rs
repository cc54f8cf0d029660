//! Minting: who may, what a new token may allow, and its signing.

use biscuit_auth::builder::{Algorithm, BiscuitBuilder, Term, bytes, fact, string};
use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::macros::check;
use biscuit_auth::{Biscuit, KeyPair, error};
use thiserror::Error;

use pinrail_spec::Timestamp;

use super::{RevocationId, Scope, Scopes, SigningKey, TokenRecord, VerifiedToken};
use crate::{AccountId, Refusal, Role, ServiceId, Standing, TokenId};

/// The longest name of a token, in characters.
const MAX_NAME: usize = 64;

/// A token to be minted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintRequest {
    /// The service that will accept it.
    pub service: ServiceId,
    /// Whose it will be.
    pub account: AccountId,
    /// Its identifier.
    pub token: TokenId,
    /// What its owner calls it, 1 to 64 characters.
    pub name: String,
    /// What it allows, at least one scope.
    pub scopes: Scopes,
    /// When it ends, cut to a whole second; never if absent.
    pub expires: Option<Timestamp>,
    /// When it is minted.
    pub created: Timestamp,
}

/// A new token: the text, shown once and never stored, and what is stored of it.
pub struct MintedToken {
    /// What the holder sends.
    pub text: String,
    /// What is stored.
    pub record: TokenRecord,
}

/// Why a token cannot be minted as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MintError {
    /// Its name is empty, too long, or has control characters.
    #[error("the token's name has {0} characters, wanted 1 to 64, none of them a control character")]
    Name(usize),
    /// It would allow nothing.
    #[error("the token has no scope, wanted at least one of pins:read, pins:write, pins:delete, tokens and admin")]
    NoScope,
    /// It would have ended before it begins.
    #[error("the token would expire at {0}, which is past")]
    Expired(Timestamp),
    /// Biscuit would not build it.
    #[error("the token could not be signed: {0}")]
    Signing(String),
}

/// Sign a token with `key`. `random` is 32 bytes of the system's randomness, new for each token: they become the
/// secret with which its holder narrows it.
pub fn mint(request: &MintRequest, key: &SigningKey, random: [u8; 32]) -> Result<MintedToken, MintError> {
    let expires = check_request(request)?;
    let biscuit = sign(request, expires, key, random).map_err(|error| MintError::Signing(error.to_string()))?;
    let text = biscuit.to_base64().map_err(|error| MintError::Signing(error.to_string()))?;
    let revocation_id = biscuit.revocation_identifiers().swap_remove(0);
    let record = TokenRecord {
        id: request.token,
        account: request.account,
        name: request.name.clone(),
        scopes: request.scopes.clone(),
        expires,
        created: request.created,
        key_id: key.id(),
        revocation_id: RevocationId::from_bytes(revocation_id),
        last_used: None,
        revoked: None,
        revoked_blocks: Vec::new(),
    };
    Ok(MintedToken { text, record })
}

/// The expiry at a whole second, which is all that a biscuit's dates hold.
fn check_request(request: &MintRequest) -> Result<Option<Timestamp>, MintError> {
    let length = request.name.chars().count();
    if !(1..=MAX_NAME).contains(&length) || request.name.chars().any(char::is_control) {
        return Err(MintError::Name(length));
    }
    if request.scopes.is_empty() {
        return Err(MintError::NoScope);
    }
    let expires = request.expires.map(|expires| Timestamp::from_millis(expires.as_millis().div_euclid(1000) * 1000));
    match expires.filter(|expires| *expires <= request.created) {
        Some(past) => Err(MintError::Expired(past)),
        None => Ok(expires),
    }
}

fn sign(
    request: &MintRequest,
    expires: Option<Timestamp>,
    key: &SigningKey,
    random: [u8; 32],
) -> Result<Biscuit, error::Token> {
    let next = KeyPair::from_bytes(&random, Algorithm::Ed25519.into())?;
    let authority = authority(request, expires)?.root_key_id(key.id());
    authority.build_with_key_pair(key.pair(), SymbolTable::new(), &next)
}

fn authority(request: &MintRequest, expires: Option<Timestamp>) -> Result<BiscuitBuilder, error::Token> {
    let ids = [request.service.as_uuid(), request.account.as_uuid(), request.token.as_uuid()];
    let mut builder = BiscuitBuilder::new().fact(fact("pinrail", &ids.map(|id| bytes(id.as_bytes()))))?;
    for scope in request.scopes.iter() {
        builder = builder.fact(fact("scope", &[string(scope.as_str())]))?;
    }
    let Some(expires) = expires else { return Ok(builder) };
    let date = Term::Date(u64::try_from(expires.as_millis() / 1000).unwrap_or(0));
    builder.check(check!("check if time($time), $time < {date}"))
}

/// Who wants to mint a token.
#[derive(Debug, Clone, Copy)]
pub enum Minter<'a> {
    /// The operator at the command line.
    Operator,
    /// The owner of the account, signed in.
    Session,
    /// A program with a token of the account, already authorized for [`Act::ManageTokens`](crate::Act::ManageTokens)
    /// by this standing.
    Token(&'a VerifiedToken, &'a Standing),
}

/// Whether `minter` may mint a token with these scopes and this expiry for an account with this role.
///
/// A token never makes one that outlives it or can do more than it, nor one that could make further ones; otherwise
/// a token that leaked once would live for ever.
pub fn may_mint(minter: Minter<'_>, role: Role, scopes: &Scopes, expires: Option<Timestamp>) -> Result<(), Refusal> {
    if scopes.contains(Scope::Admin) && role != Role::Administrator {
        return Err(Refusal::Forbidden("the scope admin needs an account with the role administrator".to_owned()));
    }
    match minter {
        Minter::Operator | Minter::Session => Ok(()),
        Minter::Token(token, standing) => may_derive(token, standing, scopes, expires),
    }
}

fn may_derive(
    minter: &VerifiedToken,
    standing: &Standing,
    scopes: &Scopes,
    expires: Option<Timestamp>,
) -> Result<(), Refusal> {
    let forbid = |details: String| Err(Refusal::Forbidden(details));
    if minter.is_narrowed() {
        return forbid("a narrowed token cannot mint tokens, use the one it was narrowed from".to_owned());
    }
    if !standing.allows(minter, Scope::Tokens) {
        return forbid("minting a token takes the scope tokens, which this token does not have".to_owned());
    }
    if let Some(scope) = [Scope::Tokens, Scope::Admin].into_iter().find(|scope| scopes.contains(*scope)) {
        return forbid(format!("a token cannot mint one with the scope {scope}, sign in or ask the operator"));
    }
    let beyond = scopes.iter().filter(|scope| !standing.allows(minter, *scope)).collect::<Scopes>();
    if !beyond.is_empty() {
        return forbid(format!("the new token would allow {beyond}, which this token does not"));
    }
    match standing.end_of(minter) {
        Some(end) if expires.is_none_or(|expires| expires > end) => {
            forbid(format!("the new token would outlive this one, let it expire at {end} or earlier"))
        }
        _ => Ok(()),
    }
}
