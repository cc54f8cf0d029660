//! Operations on access tokens and the key ring.

use pinrail_domain::{KeyState, PublicKeyRecord, RevocationId, Scope, Scopes, TokenId, TokenRecord};
use pinrail_storage::Storage;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Strategy, prop_oneof};
use proptest::sample::{select, subsequence};

use super::answer::{Answer, Outcome};
use super::client::{Client, Moments, Pick, any_pick};
use super::values::any_time;

#[derive(Debug, Clone)]
pub enum TokenOperation {
    Add { account: Pick, scopes: Vec<Scope>, key: u32, same_id: Option<Pick> },
    List { account: Pick },
    Find { token: Pick },
    Revoke { token: Pick },
    Standing { token: Pick },
    Touch { used: Vec<(Pick, std::time::Duration)> },
    AddKey { id: u32, state: KeyState },
    SetKeyState { id: u32, state: KeyState },
    ListKeys,
}

/// Tokens minted, used and revoked; keys that come, rotate and are revoked.
pub fn any_token_operation() -> BoxedStrategy<TokenOperation> {
    use TokenOperation::{Add, AddKey, Find, List, ListKeys, Revoke, SetKeyState, Standing, Touch};
    let scopes = subsequence(Scope::ALL.to_vec(), 0..=Scope::ALL.len());
    prop_oneof![
        3 => (any_pick(), scopes, 1..5_u32, option::weighted(0.1, any_pick()))
            .prop_map(|(account, scopes, key, same_id)| Add { account, scopes, key, same_id }),
        1 => any_pick().prop_map(|account| List { account }),
        1 => any_pick().prop_map(|token| Find { token }),
        2 => any_pick().prop_map(|token| Revoke { token }),
        4 => any_pick().prop_map(|token| Standing { token }),
        2 => vec((any_pick(), any_time()), 0..4).prop_map(|used| Touch { used }),
        1 => (1..5_u32, any_key_state()).prop_map(|(id, state)| AddKey { id, state }),
        1 => (1..5_u32, any_key_state()).prop_map(|(id, state)| SetKeyState { id, state }),
        1 => proptest::prelude::Just(ListKeys),
    ]
    .boxed()
}

fn any_key_state() -> impl Strategy<Value = KeyState> {
    select(vec![KeyState::Active, KeyState::Active, KeyState::Retired, KeyState::Revoked])
}

impl TokenOperation {
    pub async fn take(&self, client: &mut Client, storage: &dyn Storage, moments: Moments) -> Outcome {
        match self {
            Self::Add { account, scopes, key, same_id } => {
                let record = record(client, *account, scopes, *key, *same_id, moments);
                storage.add_token(&record).await?;
                client.tokens.push(record.id);
                Ok(Answer::Done)
            }
            Self::List { account } => Ok(Answer::Tokens(storage.list_tokens(&client.account(*account)).await?)),
            Self::Find { token } => Ok(Answer::Token(storage.find_token(&client.token(*token)).await?)),
            Self::Revoke { token } => Ok(Answer::Flag(storage.revoke_token(&client.token(*token), moments.now).await?)),
            Self::Standing { token } => Ok(Answer::Standing(storage.standing(&client.token(*token)).await?)),
            Self::Touch { used } => {
                let used = used.iter().map(|(token, ahead)| (client.token(*token), moments.now + *ahead));
                storage.touch_tokens(&used.collect::<Vec<_>>()).await?;
                Ok(Answer::Done)
            }
            Self::AddKey { id, state } => {
                let public_key = vec![u8::try_from(*id).expect("a few keys"); 32];
                storage.add_key(&PublicKeyRecord { id: *id, public_key, state: *state, created: moments.now }).await?;
                Ok(Answer::Done)
            }
            Self::SetKeyState { id, state } => {
                storage.set_key_state(*id, *state, moments.now).await?;
                Ok(Answer::Done)
            }
            Self::ListKeys => Ok(Answer::Keys(storage.list_keys().await?)),
        }
    }
}

fn record(
    client: &mut Client,
    account: Pick,
    scopes: &[Scope],
    key_id: u32,
    same_id: Option<Pick>,
    moments: Moments,
) -> TokenRecord {
    let unique = client.unique();
    let id = same_id.map_or_else(|| TokenId::new(moments.now, unique), |pick| client.token(pick));
    TokenRecord {
        id,
        account: client.account(account),
        name: format!("key {key_id}"),
        scopes: scopes.iter().copied().collect::<Scopes>(),
        expires: (scopes.len() == 1).then_some(moments.now),
        created: moments.now,
        key_id,
        revocation_id: RevocationId::from_bytes(unique.to_vec()),
        last_used: None,
        revoked: None,
        revoked_blocks: Vec::new(),
    }
}
