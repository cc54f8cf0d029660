//! `access`: grant and withdraw.

use anyhow::{Result, bail};
use pinrail_domain::{Access, Limits};
use pinrail_storage::Storage;

use super::find_account;
use crate::settings::{AccessCommand, GrantArgs};
use crate::system::now;

/// Do what is asked of access.
pub async fn run(command: AccessCommand, storage: &dyn Storage) -> Result<()> {
    match command {
        AccessCommand::Grant(asked) => grant(&asked, storage).await,
        AccessCommand::Withdraw { name } => {
            let account = find_account(storage, &name).await?;
            storage.set_access(&account.id, None, None, storage.now().await?).await?;
            println!("{name} may not pin any more, what it has pinned stays");
            Ok(())
        }
    }
}

async fn grant(asked: &GrantArgs, storage: &dyn Storage) -> Result<()> {
    let account = find_account(storage, &asked.name).await?;
    let now = now();
    let until = match asked.until {
        Some(until) => until.from(now),
        None => account.access.as_ref().and_then(|access| access.until),
    };
    match until.filter(|until| *until <= now) {
        Some(past) if asked.until.is_some() => bail!("the access would end at {past}, which is past: it is {now} now"),
        Some(past) => bail!("the access of {} ended at {past}, say when it ends now: --until, also never", asked.name),
        None => {}
    }
    let limits = if asked.unlimited {
        Limits::UNLIMITED
    } else {
        Limits {
            requests: asked.requests.or(account.limits.requests),
            queued_roots: asked.queued.or(account.limits.queued_roots),
            bytes: asked.bytes.or(account.limits.bytes),
        }
    };
    let access = Access { since: now, by: "operator".to_owned(), until };
    storage.set_access(&account.id, Some(&access), Some(&limits), now).await?;
    match until {
        Some(until) => println!("{} may pin until {until}", asked.name),
        None => println!("{} may pin", asked.name),
    }
    Ok(())
}
