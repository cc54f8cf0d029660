//! The authority block: what the service itself says in a token, read over its parsed form.

use std::str::FromStr;

use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::format::schema::op_binary::Kind as Binary;
use biscuit_auth::format::schema::{self, op, term::Content};
use uuid::Uuid;

use pinrail_spec::Timestamp;

use super::{Scope, Scopes, TokenError};
use crate::{AccountId, ServiceId, TokenId};

/// What the authority block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub service: ServiceId,
    pub account: AccountId,
    pub token: TokenId,
    pub scopes: Scopes,
    pub expires: Option<Timestamp>,
}

impl Authority {
    /// Read `block`; anything that this version does not mint is an error, since it could mean less than it seems to.
    pub(super) fn read(block: &schema::SnapshotBlock, symbols: &SymbolTable) -> Result<Self, TokenError> {
        let known = block.rules.is_empty() && block.scope.is_empty();
        let authority = if known { read_known(block, symbols) } else { None };
        authority.ok_or(TokenError::UnknownForm)
    }
}

fn read_known(block: &schema::SnapshotBlock, symbols: &SymbolTable) -> Option<Authority> {
    let (mut ids, mut scopes) = (None, Vec::new());
    for schema::Fact { predicate } in &block.facts {
        match symbols.get_symbol(predicate.name)? {
            "pinrail" if ids.is_none() => ids = Some(read_ids(&predicate.terms)?),
            "scope" => scopes.push(read_scope(&predicate.terms, symbols)?),
            _ => return None,
        }
    }
    let expires = match block.checks.as_slice() {
        [] => None,
        [check] => Some(read_expiry(check, symbols)?),
        _ => return None,
    };
    let [service, account, token] = ids?;
    Some(Authority {
        service: ServiceId::from_uuid(service),
        account: AccountId::from_uuid(account),
        token: TokenId::from_uuid(token),
        scopes: scopes.into_iter().collect(),
        expires,
    })
}

/// The terms of `pinrail(service, account, token)`, 16 bytes each.
fn read_ids(terms: &[schema::Term]) -> Option<[Uuid; 3]> {
    let read = |term: &schema::Term| match term.content.as_ref()? {
        Content::Bytes(bytes) => Uuid::from_slice(bytes).ok(),
        _ => None,
    };
    terms.iter().map(read).collect::<Option<Vec<_>>>()?.try_into().ok()
}

/// The term of `scope("…")`.
fn read_scope(terms: &[schema::Term], symbols: &SymbolTable) -> Option<Scope> {
    match terms {
        [schema::Term { content: Some(Content::String(index)) }] => Scope::from_str(symbols.get_symbol(*index)?).ok(),
        _ => None,
    }
}

/// The date of `check if time($time), $time < date`.
fn read_expiry(check: &schema::Check, symbols: &SymbolTable) -> Option<Timestamp> {
    let [query] = check.queries.as_slice() else { return None };
    let ([time], [expression]) = (query.body.as_slice(), query.expressions.as_slice()) else { return None };
    let [left, right, operation] = expression.ops.as_slice() else { return None };
    let is_before = match &operation.content {
        Some(op::Content::Binary(binary)) => Binary::from_i32(binary.kind) == Some(Binary::LessThan),
        _ => false,
    };
    let is_time = symbols.get_symbol(time.name)? == "time" && left.content == time.terms.first().map(as_value);
    match &right.content {
        Some(op::Content::Value(schema::Term { content: Some(Content::Date(seconds)) })) if is_before && is_time => {
            i64::try_from(*seconds).ok()?.checked_mul(1000).map(Timestamp::from_millis)
        }
        _ => None,
    }
}

fn as_value(term: &schema::Term) -> op::Content {
    op::Content::Value(term.clone())
}
