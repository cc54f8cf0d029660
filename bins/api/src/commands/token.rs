//! `token`: mint, list, attenuate, inspect, revoke.

use anyhow::{Context, Result, bail};
use pinrail_domain::{
    MintRequest, Minter, NameRestriction, Restrictions, Scope, Scopes, TokenId, TokenRecord, attenuate, inspect,
    may_mint, mint,
};
use pinrail_spec::{Cid, Timestamp};
use pinrail_storage::Storage;
use serde::Serialize;

use super::{find_account, or_dash, print_json, print_table};
use crate::keys::KeyFolder;
use crate::settings::{MintArgs, NarrowArgs};
use crate::system::{now, random, read_secret};

/// A token as a script gets it.
#[derive(Serialize)]
struct Minted<'a> {
    id: TokenId,
    token: &'a str,
    account: &'a str,
    scopes: &'a Scopes,
    expires: Option<Timestamp>,
}

/// Mint a token and print it.
pub async fn mint_token(asked: MintArgs, storage: &dyn Storage, keys: &KeyFolder) -> Result<()> {
    let account = find_account(storage, &asked.account).await?;
    let created = storage.now().await?;
    let scopes = if asked.scope.is_empty() { Scopes::pins() } else { asked.scope.into_iter().collect() };
    let request = MintRequest {
        service: storage.service_id().await?,
        account: account.id,
        token: TokenId::new(created, random()),
        name: asked.name,
        scopes,
        expires: asked.expires.map(|expires| expires.from(created)),
        created,
    };
    may_mint(Minter::Operator, account.role, &request.scopes, request.expires)?;
    let minted = mint(&request, &keys.active(storage).await?, random())?;
    storage.add_token(&minted.record).await?;
    let TokenRecord { id, scopes, expires, .. } = &minted.record;
    if asked.json {
        let token = minted.text.as_str();
        return print_json(&Minted { id: *id, token, account: &account.name, scopes, expires: *expires });
    }
    eprintln!("token {id} of {}, {scopes}, {}; it is shown this once:", account.name, ends(*expires));
    println!("{}", minted.text);
    Ok(())
}

/// List an account's tokens.
pub async fn list_tokens(account: &str, json: bool, storage: &dyn Storage) -> Result<()> {
    let account = find_account(storage, account).await?;
    let tokens = storage.list_tokens(&account.id).await?;
    if json {
        return print_json(&tokens);
    }
    let row = |token: &TokenRecord| {
        let state = token.revoked.map_or_else(|| ends(token.expires), |revoked| format!("revoked {revoked}"));
        [
            token.id.to_string(),
            token.name.clone(),
            token.scopes.to_string(),
            state,
            or_dash(token.last_used.as_ref()),
            token.key_id.to_string(),
        ]
    };
    let rows = tokens.iter().map(row).collect::<Vec<_>>();
    print_table(["ID", "NAME", "SCOPES", "STATE", "LAST USED", "KEY"], &rows, "no token yet");
    Ok(())
}

/// Narrow a token and print the narrower one.
pub fn narrow(asked: NarrowArgs) -> Result<()> {
    let cid = asked.cid.map(|cid| Cid::parse(&cid).with_context(|| format!("--cid {cid}"))).transpose()?;
    let restrictions = Restrictions {
        operations: asked.read_only.then(|| Scopes::from_iter([Scope::PinsRead])),
        name: asked.name_prefix.map(NameRestriction::Prefix),
        cid: cid.map(|cid| cid.root()),
        expires: asked.expires.map(|expires| expires.from(now())),
    };
    println!("{}", attenuate(&read_secret(&asked.token)?, &restrictions, random())?);
    Ok(())
}

/// Print what a token says of itself.
pub fn inspect_token(token: &str, json: bool) -> Result<()> {
    let inspection = inspect(&read_secret(token)?)?;
    if json {
        return print_json(&inspection);
    }
    println!("nothing of this is verified");
    println!("token     {}", or_dash(inspection.token.as_ref()));
    println!("account   {}", or_dash(inspection.account.as_ref()));
    println!("service   {}", or_dash(inspection.service.as_ref()));
    println!("key       {}", or_dash(inspection.key_id.as_ref()));
    println!("scopes    {}", inspection.scopes);
    println!("ends      {}", ends(inspection.expires));
    for (index, block) in inspection.blocks.iter().enumerate().skip(1) {
        println!("narrowed  block {index}");
        for statement in &block.statements {
            println!("          {statement}");
        }
    }
    Ok(())
}

/// Revoke a token.
pub async fn revoke(id: &str, storage: &dyn Storage) -> Result<()> {
    let token = id.parse::<TokenId>().with_context(|| format!("{id:?} is no token id, `token list` shows them"))?;
    if storage.find_token(&token).await?.is_none() {
        bail!("there is no token {token}, `pinrail-api token list ACCOUNT` shows those there are");
    }
    let was_valid = storage.revoke_token(&token, storage.now().await?).await?;
    println!("token {token} {}", if was_valid { "is revoked" } else { "was revoked before" });
    Ok(())
}

fn ends(expires: Option<Timestamp>) -> String {
    expires.map_or_else(|| "never expires".to_owned(), |expires| format!("expires {expires}"))
}
