//! Operations on accounts: added, found, granted and refused access, blocked.

use std::time::Duration;

use pinrail_domain::{Access, Account, AccountId, Limits, Role};
use pinrail_storage::{NewAccount, Storage};
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use super::answer::{Answer, Outcome};
use super::client::{Client, Moments, Pick, any_pick};
use super::values::{any_limits, any_time};

#[derive(Debug, Clone)]
pub enum AccountOperation {
    Add { name: &'static str, limits: Limits, same_id: Option<Pick> },
    Find { account: Pick },
    FindByName { name: &'static str },
    List { after: Option<&'static str>, limit: u16 },
    Access { account: Pick, is_granted: bool, until: Option<Duration>, limits: Option<Limits> },
    Block { account: Pick, is_blocked: bool },
}

/// Changes of what an account may do, looks at what it uses, and now and then another account.
pub fn any_account_operation() -> BoxedStrategy<AccountOperation> {
    use AccountOperation::{Access, Add, Block, Find, FindByName, List};
    let access = (any_pick(), any::<bool>(), option::of(any_time()), option::of(any_limits()));
    prop_oneof![
        2 => (any_account_name(), any_limits(), option::weighted(0.2, any_pick()))
            .prop_map(|(name, limits, same_id)| Add { name, limits, same_id }),
        6 => any_pick().prop_map(|account| Find { account }),
        1 => any_account_name().prop_map(|name| FindByName { name }),
        1 => (option::of(any_account_name()), 0..4_u16).prop_map(|(after, limit)| List { after, limit }),
        3 => access.prop_map(|(account, is_granted, until, limits)| Access { account, is_granted, until, limits }),
        4 => (any_pick(), any::<bool>()).prop_map(|(account, is_blocked)| Block { account, is_blocked }),
    ]
    .boxed()
}

fn any_account_name() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("ada"), select(vec!["Ada", "bob", "_eve", "ß", "z%"])]
}

/// The operation that adds an account whose limits nothing reaches.
pub const fn add_unlimited(name: &'static str) -> AccountOperation {
    AccountOperation::Add { name, limits: Limits::UNLIMITED, same_id: None }
}

impl AccountOperation {
    pub async fn take(&self, client: &mut Client, storage: &dyn Storage, moments: Moments) -> Outcome {
        let now = moments.now;
        match self {
            Self::Add { name, limits, same_id } => {
                let unique = client.unique();
                let id = same_id.map_or_else(|| AccountId::new(now, unique), |pick| client.account(pick));
                let email = name.is_ascii().then(|| format!("{name}@example.org"));
                let account = NewAccount { id, name: (*name).to_owned(), email, role: Role::Pinner, limits: *limits };
                let added = storage.add_account(&account, now).await?;
                client.accounts.push(added.id);
                Ok(one(added))
            }
            Self::Find { account } => Ok(found(storage.find_account(&client.account(*account)).await?)),
            Self::FindByName { name } => Ok(found(storage.find_account_by_name(name).await?)),
            Self::List { after, limit } => Ok(Answer::Accounts(storage.list_accounts(*after, *limit).await?)),
            Self::Access { account, is_granted, until, limits } => {
                let until = until.map(|until| now + until);
                let access = is_granted.then(|| Access { since: now, by: "operator".to_owned(), until });
                let account = client.account(*account);
                Ok(one(storage.set_access(&account, access.as_ref(), limits.as_ref(), now).await?))
            }
            Self::Block { account, is_blocked } => {
                let reason = is_blocked.then_some("spam");
                Ok(one(storage.set_blocked(&client.account(*account), reason, now).await?))
            }
        }
    }
}

fn one(account: Account) -> Answer {
    found(Some(account))
}

fn found(account: Option<Account>) -> Answer {
    Answer::Account(account.map(Box::new))
}
