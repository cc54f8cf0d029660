//! `account`: add, list, show, block, unblock.

use anyhow::{Result, bail};
use pinrail_domain::{Account, AccountId, Limits, Role, format_size};
use pinrail_spec::Timestamp;
use pinrail_storage::{NewAccount, Storage};

use super::{find_account, or_dash, print_json, print_table};
use crate::settings::AccountCommand;
use crate::system::random;

/// How many accounts are read at once.
const PAGE: u16 = 500;

/// Do what is asked of accounts.
pub async fn run(command: AccountCommand, storage: &dyn Storage) -> Result<()> {
    let now = storage.now().await?;
    match command {
        AccountCommand::Add { name, email, administrator, json } => {
            let role = if administrator { Role::Administrator } else { Role::Pinner };
            let account = add(storage, name, email, role, now).await?;
            show(&account, json, now)
        }
        AccountCommand::List { json } => list(storage, json, now).await,
        AccountCommand::Show { name, json } => show(&find_account(storage, &name).await?, json, now),
        AccountCommand::Block { name, reason } => {
            let account = find_account(storage, &name).await?;
            storage.set_blocked(&account.id, Some(&reason), now).await?;
            println!("{name} is blocked: {reason}");
            Ok(())
        }
        AccountCommand::Unblock { name } => {
            let account = find_account(storage, &name).await?;
            storage.set_blocked(&account.id, None, now).await?;
            println!("{name} is not blocked");
            Ok(())
        }
    }
}

async fn add(
    storage: &dyn Storage,
    name: String,
    email: Option<String>,
    role: Role,
    now: Timestamp,
) -> Result<Account> {
    let length = name.chars().count();
    if !(1..=64).contains(&length) || name.chars().any(char::is_control) {
        bail!("the name has {length} characters, wanted 1 to 64, none of them a control character");
    }
    if email.as_ref().is_some_and(|email| !email.contains('@')) {
        bail!("the e-mail address has no @");
    }
    let id = AccountId::new(now, random());
    Ok(storage.add_account(&NewAccount { id, name, email, role, limits: Limits::STANDARD }, now).await?)
}

async fn list(storage: &dyn Storage, json: bool, now: Timestamp) -> Result<()> {
    let mut accounts: Vec<Account> = Vec::new();
    loop {
        let page = storage.list_accounts(accounts.last().map(|account| account.name.as_str()), PAGE).await?;
        let is_last = page.len() < usize::from(PAGE);
        accounts.extend(page);
        if is_last {
            break;
        }
    }
    if json {
        return print_json(&accounts);
    }
    let row = |account: &Account| {
        [
            account.name.clone(),
            state(account, now),
            account.usage.requests.to_string(),
            account.usage.queued_roots.to_string(),
            format_size(account.usage.bytes),
            account.id.to_string(),
        ]
    };
    let rows = accounts.iter().map(row).collect::<Vec<_>>();
    print_table(
        ["NAME", "ACCESS", "PINS", "QUEUED", "BYTES", "ID"],
        &rows,
        "no account yet, add one with `pinrail-api account add NAME`",
    );
    Ok(())
}

fn show(account: &Account, json: bool, now: Timestamp) -> Result<()> {
    if json {
        return print_json(account);
    }
    let Account { usage, limits, .. } = account;
    let used = |used: String, limit: Option<String>| format!("{used} of {}", limit.unwrap_or("no limit".to_owned()));
    println!("name           {}", account.name);
    println!("id             {}", account.id);
    println!("e-mail         {}", or_dash(account.email.as_ref()));
    println!("role           {}", if account.role == Role::Administrator { "administrator" } else { "pinner" });
    println!("access         {}", state(account, now));
    println!("pin requests   {}", used(usage.requests.to_string(), limits.requests.map(|limit| limit.to_string())));
    let queued = limits.queued_roots.map(|limit| limit.to_string());
    println!("queued roots   {}", used(usage.queued_roots.to_string(), queued));
    println!("bytes          {}", used(format_size(usage.bytes), limits.bytes.map(format_size)));
    println!("added          {}", account.created);
    Ok(())
}

/// Whether it may pin, in words.
fn state(account: &Account, now: Timestamp) -> String {
    match (&account.blocked, &account.access) {
        (Some(reason), _) => format!("blocked: {reason}"),
        (None, None) => account.access_withdrawn.map_or_else(|| "none".to_owned(), |at| format!("withdrawn {at}")),
        (None, Some(access)) => match access.until {
            Some(until) if until <= now => format!("ended {until}"),
            Some(until) => format!("until {until}"),
            None => "granted".to_owned(),
        },
    }
}
