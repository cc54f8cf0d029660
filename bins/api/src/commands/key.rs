//! `key`: rotate, list, revoke.

use anyhow::Result;
use pinrail_domain::{KeyState, PublicKeyRecord};
use pinrail_storage::{SigningKeys, Storage};
use serde::Serialize;

use super::{print_json, print_table};
use crate::keys::KeyFolder;
use crate::settings::KeyCommand;

/// A key as a script gets it.
#[derive(Serialize)]
struct Shown {
    id: u32,
    state: KeyState,
    created: pinrail_spec::Timestamp,
    /// Whether this machine can sign with it.
    private: bool,
}

/// Do what is asked of keys.
pub async fn run(command: KeyCommand, storage: &dyn Storage, keys: &KeyFolder) -> Result<()> {
    match command {
        KeyCommand::Rotate { json } => {
            let key = keys.rotate(storage).await?;
            let path = keys.path(key.id());
            if json {
                return print_json(&serde_json::json!({ "id": key.id(), "path": path }));
            }
            println!("key {} signs from now on, its private half is {}", key.id(), path.display());
            Ok(())
        }
        KeyCommand::List { json } => list(json, storage, keys).await,
        KeyCommand::Revoke { id } => {
            storage.set_key_state(id, KeyState::Revoked, storage.now().await?).await?;
            println!("nothing that key {id} signed is accepted any more");
            if !storage.list_keys().await?.iter().any(|key| key.state == KeyState::Active) {
                println!("no key signs now, make one with `pinrail-api key rotate`");
            }
            Ok(())
        }
    }
}

async fn list(json: bool, storage: &dyn SigningKeys, keys: &KeyFolder) -> Result<()> {
    let show =
        |key: PublicKeyRecord| Shown { id: key.id, state: key.state, created: key.created, private: keys.has(key.id) };
    let shown = storage.list_keys().await?.into_iter().map(show).collect::<Vec<_>>();
    if json {
        return print_json(&shown);
    }
    let row = |key: &Shown| {
        let state = match key.state {
            KeyState::Active => "active",
            KeyState::Retired => "retired",
            KeyState::Revoked => "revoked",
        };
        let place = if key.private { keys.path(key.id).display().to_string() } else { "not here".to_owned() };
        [key.id.to_string(), state.to_owned(), key.created.to_string(), place]
    };
    let rows = shown.iter().map(row).collect::<Vec<_>>();
    print_table(["ID", "STATE", "MADE", "PRIVATE HALF"], &rows, "no key yet, make one with `pinrail-api key rotate`");
    Ok(())
}
