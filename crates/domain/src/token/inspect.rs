//! Reading a token without verifying it, for people who wonder what they hold.

use biscuit_auth::UnverifiedBiscuit;
use serde::Serialize;
use uuid::Uuid;

use pinrail_spec::Timestamp;

use super::{MAX_TOKEN_BYTES, RevocationId, Scopes, TokenError};
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
    /// What names it, and with it all that was narrowed from it.
    pub revocation_id: RevocationId,
    /// Its Datalog, a statement in each line, without control characters.
    pub statements: Vec<String>,
}

/// Read what `text` says of itself, without keys and without verifying anything.
pub fn inspect(text: &str) -> Result<Inspection, TokenError> {
    if text.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong(text.len()));
    }
    let token = UnverifiedBiscuit::from_base64(text).map_err(|_| TokenError::Malformed)?;
    let inspect_block = |(index, id)| {
        let source = token.print_block_source(index).map_err(|_| TokenError::Malformed)?;
        let statements = source.lines().map(printable).collect();
        Ok(InspectedBlock { revocation_id: RevocationId::from_bytes(id), statements })
    };
    let ids = token.revocation_identifiers().into_iter().enumerate();
    let blocks = ids.map(inspect_block).collect::<Result<Vec<_>, _>>()?;
    // The lines are read as text: a crafted one can only lie, which an unverified token does anyway, while parsing
    // crafted Datalog can take for ever.
    let authority = blocks.first().map(|block| block.statements.as_slice()).unwrap_or_default();
    let [service, account, token_id] = read_ids(authority).map_or([None; 3], |ids| ids.map(Some));
    let scopes = enclosed(authority, "scope(\"", "\")").filter_map(|scope| scope.parse().ok()).collect();
    let expires = enclosed(authority, "check if time($time), $time < ", "").find_map(Timestamp::parse_floor);
    Ok(Inspection {
        key_id: token.root_key_id(),
        service: service.map(ServiceId::from_uuid),
        account: account.map(AccountId::from_uuid),
        token: token_id.map(TokenId::from_uuid),
        scopes,
        expires,
        blocks,
    })
}

fn read_ids(authority: &[String]) -> Option<[Uuid; 3]> {
    let terms = enclosed(authority, "pinrail(", ")").next()?;
    let ids = terms.split(", ").map(|term| Uuid::try_parse(term.strip_prefix("hex:")?).ok());
    ids.collect::<Option<Vec<_>>>()?.try_into().ok()
}

/// What stands between `start` and `end` in the lines that begin and end so.
fn enclosed<'a>(lines: &'a [String], start: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    lines.iter().filter_map(move |line| line.strip_prefix(start)?.strip_suffix(end))
}

/// A crafted string could steer the terminal it is shown on.
fn printable(line: &str) -> String {
    line.trim_end_matches(';').chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
