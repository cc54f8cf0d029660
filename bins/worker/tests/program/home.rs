//! A data folder with a database, in which an account asks for pins as the HTTP service would.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pinrail_domain::{AccountId, Limits, NewPinRequest, PinRequest, RequestId, Role, TokenId};
use pinrail_spec::{Cid, Multiaddr, Pin, Status, Timestamp};
use pinrail_storage::{Accounts, NewAccount, PinRequests, RootQueue};
use pinrail_storage_diesel::{SqliteOptions, SqliteStorage, migrate};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::program::LONG;

/// The data folder, and beside it one for what a test writes.
pub struct Home {
    folder: TempDir,
    pub storage: SqliteStorage,
    account: AccountId,
    made: u8,
}

#[expect(clippy::disallowed_methods, reason = "the programs under test share a clock with the test")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("it is not so late"))
}

impl Home {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::DirBuilder::new().mode(0o700).create(folder.path().join("data")).expect("a folder of ours");
        let path = folder.path().join("data/pinrail.db");
        migrate(&path).expect("a new database");
        let storage =
            SqliteStorage::open(&path, SqliteOptions::default(), Arc::new(now)).await.expect("it is migrated");
        let account = AccountId::new(now(), [1; 10]);
        let limits = Limits::UNLIMITED;
        let new = NewAccount { id: account, name: "ada".to_owned(), email: None, role: Role::Pinner, limits };
        storage.add_account(&new, now()).await.expect("the first account");
        Self { folder, storage, account, made: 1 }
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ask for `cid` to be pinned from these origins.
    pub async fn post(&mut self, cid: &str, origins: &[String]) -> PinRequest {
        self.made += 1;
        let random = [self.made; 10];
        let origins = origins.iter().map(|origin| Multiaddr::parse(origin).expect("a multiaddr")).collect();
        let cid = Cid::parse(cid).expect("a CID");
        let pin = Pin { cid, name: None, origins, meta: std::collections::BTreeMap::new() };
        let (id, token) = (RequestId::new(now(), random), TokenId::new(now(), random));
        let request = NewPinRequest { id, account: self.account, token, pin };
        self.storage.add_pin_request(&request, now()).await.expect("a node is registered")
    }

    pub async fn read(&self, request: &PinRequest) -> PinRequest {
        let found = self.storage.find_pin_request(&self.account, &request.id, now()).await;
        found.expect("the database answers").expect("what was accepted is there")
    }

    pub async fn remove(&self, request: &PinRequest) {
        let removed = self.storage.remove_pin_request(&self.account, &request.id, now()).await;
        assert_eq!(removed, Ok(true));
    }

    /// Wait until a worker has pinned it.
    pub async fn until_pinned(&self, request: &PinRequest) {
        self.until(request, "pinned", |seen| seen.status == Status::Pinned).await;
    }

    /// Wait for what a worker does to a request.
    pub async fn until(&self, request: &PinRequest, what: &str, is_so: impl Fn(&PinRequest) -> bool) {
        let wait = async {
            while !is_so(&self.read(request).await) {
                // It may miss a change, so look again in a while.
                let _ = timeout(Duration::from_millis(500), self.storage.changed()).await;
            }
        };
        let in_time = timeout(LONG, wait).await.is_ok();
        assert!(in_time, "never {what}: {:?}", self.read(request).await);
    }
}
