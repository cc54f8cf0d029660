//! Reading a token without verifying it, for people who wonder what they hold.

use biscuit_auth::UnverifiedBiscuit;
use biscuit_auth::builder::{BlockBuilder, Check, Op, Term};
use serde::Serialize;
use uuid::Uuid;

use pinrail_spec::Timestamp;

use super::{RevocationId, Scopes, TokenError};
use crate::{AccountId, ServiceId, TokenId};

/// What a token says of itself. **Nothing of it is verified**: anyone can write such a token, so it is for reading only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The key that it says signed it.
    pub key_id: Option<u32>,
    /// The service that it says accepts it.
    pub service: Option<ServiceId>,
    /// Whose it says it is.
    pub account: Option<AccountId>,
    /// Its identifier.
    pub token: Option<TokenId>,
    /// What it says it allows.
    pub scopes: Scopes,
    /// When it says it ends.
    pub expires: Option<Timestamp>,
    /// Its blocks, the service's first.
    pub blocks: Vec<InspectedBlock>,
}

/// One block of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectedBlock {
    /// What it can be revoked by, with all that was narrowed from it.
    pub revocation_id: RevocationId,
    /// Its Datalog, a statement in each line, without control characters.
    pub statements: Vec<String>,
}

/// Read what `text` says of itself, without keys and without verifying anything.
pub fn inspect(text: &str) -> Result<Inspection, TokenError> {
    let token = UnverifiedBiscuit::from_base64(text).map_err(|_| TokenError::Malformed)?;
    let source = |index| token.print_block_source(index).map_err(|_| TokenError::Malformed);
    // A source that does not parse again was crafted; its lines are shown all the same.
    let authority = BlockBuilder::new().code(source(0)?).unwrap_or_default();
    let block = |(index, id)| {
        let statements = source(index)?.lines().map(printable).collect();
        Ok(InspectedBlock { revocation_id: RevocationId::from_bytes(id), statements })
    };
    Ok(Inspection {
        key_id: token.root_key_id(),
        service: id(&authority, 0).map(ServiceId::from_uuid),
        account: id(&authority, 1).map(AccountId::from_uuid),
        token: id(&authority, 2).map(TokenId::from_uuid),
        scopes: terms(&authority, "scope").filter_map(|terms| text_of(terms.first()?)?.parse().ok()).collect(),
        expires: authority.checks.first().and_then(expiry),
        blocks: token.revocation_identifiers().into_iter().enumerate().map(block).collect::<Result<_, _>>()?,
    })
}

fn terms<'a>(block: &'a BlockBuilder, name: &'a str) -> impl Iterator<Item = &'a [Term]> {
    block.facts.iter().filter(move |fact| fact.predicate.name == name).map(|fact| fact.predicate.terms.as_slice())
}

fn id(authority: &BlockBuilder, index: usize) -> Option<Uuid> {
    match terms(authority, "pinrail").next()?.get(index)? {
        Term::Bytes(bytes) => Uuid::from_slice(bytes).ok(),
        _ => None,
    }
}

const fn text_of(term: &Term) -> Option<&String> {
    if let Term::Str(text) = term { Some(text) } else { None }
}

fn expiry(check: &Check) -> Option<Timestamp> {
    let date = |op: &Op| if let Op::Value(Term::Date(seconds)) = op { Some(*seconds) } else { None };
    let seconds = check.queries.first()?.expressions.first()?.ops.iter().find_map(date)?;
    i64::try_from(seconds).ok()?.checked_mul(1000).map(Timestamp::from_millis)
}

/// A crafted string could steer the terminal it is shown on.
fn printable(line: &str) -> String {
    line.trim_end_matches(';').chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
