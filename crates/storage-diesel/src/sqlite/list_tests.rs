//! Lists of one account while another one works, lists that nobody waits for, and the statements that lists leave.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use diesel::connection::InstrumentationEvent;
use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use pinrail_domain::{RequestId, TokenId};
use pinrail_spec::{Match, NameFilter, PinFilter};
use pinrail_storage::{AccessTokens, PinRequests, Storage, StorageError};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::connection::{at_once, open_reader, wrap};
use super::interrupt::Interrupt;
use super::queries::pin_lists;
use super::{SqliteOptions, SqliteStorage, migrate};
use crate::TimeSource;
use crate::list_samples::{NOW, account, everything, fill, shapes_of_lists};

/// Far more than anything here takes: a test that waits for so long has failed.
const LONG: Duration = Duration::from_mins(1);
/// A query that ends only if it is ended.
const ENDLESS: &str = "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
    SELECT COUNT(*) FROM n WHERE goes_on(i))";

async fn open(path: &Path, readers: usize) -> Arc<SqliteStorage> {
    let options = SqliteOptions { readers, ..SqliteOptions::default() };
    Arc::new(SqliteStorage::open(path, options, Arc::new(|| NOW)).await.expect("it is opened"))
}

fn database() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pinrail.db");
    migrate(&path).expect("it is migrated");
    (folder, path)
}

/// A list that says that it has begun, and then lasts as long as `lasts` does.
fn held(
    storage: &Arc<SqliteStorage>,
    begun: &UnboundedSender<()>,
    lasts: &Arc<Mutex<mpsc::Receiver<()>>>,
) -> impl Future<Output = Result<(), StorageError>> + use<> {
    let (storage, begun, lasts) = (Arc::clone(storage), begun.clone(), Arc::clone(lasts));
    async move {
        let list = storage.list(account(1), true, move |_| {
            Box::pin(async move {
                let _ = begun.send(());
                let _ = lasts.lock().expect("nobody panics").recv();
                Ok(())
            })
        });
        list.await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_lists_last_keeps_nobody_else_waiting() {
    let (_folder, path) = database();
    let storage = open(&path, 4).await;
    let (begun, mut begins) = unbounded_channel();
    let (sender, end) = mpsc::channel();
    let end = Arc::new(Mutex::new(end));
    let lists: Vec<_> = (0..8).map(|_| tokio::spawn(held(&storage, &begun, &end))).collect();
    for _ in 0..2 {
        begins.recv().await.expect("it begins");
    }
    let victim = async {
        let part = NameFilter { text: "a".to_owned(), matching: Match::Ipartial };
        for name in [None, Some(part)] {
            let filter = PinFilter { name, ..everything() };
            assert_eq!(storage.list_pin_requests(&account(2), &filter, NOW).await.expect("a list").count, 0);
        }
        let id = RequestId::new(NOW, [1; 10]);
        assert_eq!(storage.find_pin_request(&account(2), &id, NOW).await.expect("a look-up"), None);
        assert!(storage.standing(&TokenId::new(NOW, [1; 10])).await.expect("a look-up").is_none());
        fill(storage.as_ref(), account(2)).await;
        storage.ready().await.expect("it is ready");
    };
    timeout(LONG, victim).await.expect("the other account is answered");
    assert_eq!((storage.list_use().places, storage.list_use().in_use), (4, 2));
    drop(sender);
    for list in lists {
        list.await.expect("it does not panic").expect("it ends well");
    }
    assert_eq!(storage.list_use().in_use, 0);
}

/// A list that would never end, once it has begun.
fn endless(
    storage: &Arc<SqliteStorage>,
) -> (tokio::task::JoinHandle<Result<i64, StorageError>>, UnboundedReceiver<()>) {
    let (begun, begins) = unbounded_channel();
    let storage = Arc::clone(storage);
    let list = tokio::spawn(async move {
        let list = storage.list(account(1), true, move |conn| {
            Box::pin(async move {
                let _ = begun.send(());
                Ok(super::RunQueryDsl::get_result(diesel::select(sql::<BigInt>(ENDLESS)), conn).await?)
            })
        });
        list.await
    });
    (list, begins)
}

async fn lists_again(storage: &SqliteStorage) {
    fill(storage, account(2)).await;
    let part = NameFilter { text: "am".to_owned(), matching: Match::Partial };
    for name in [Some(part), None] {
        let filter = PinFilter { name, ..everything() };
        let page = timeout(LONG, storage.list_pin_requests(&account(2), &filter, NOW)).await;
        assert_eq!(page.expect("the only reader is free again").expect("a list").count, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_nobody_waits_for_is_ended() {
    let (_folder, path) = database();
    let storage = open(&path, 1).await;
    let (list, mut begins) = endless(&storage);
    begins.recv().await.expect("it begins");
    list.abort();
    lists_again(&storage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_takes_too_long_is_ended() {
    let (_folder, path) = database();
    let storage = open(&path, 1).await;
    let (list, _begins) = endless(&storage);
    let ended = timeout(LONG, list).await.expect("it ends").expect("it does not panic");
    assert!(matches!(&ended, Err(StorageError::Busy(why)) if why.contains("ask for less")), "{ended:?}");
    lists_again(&storage).await;
}

#[tokio::test]
async fn hundreds_of_shapes_of_lists_leave_few_statements() {
    let (_folder, path) = database();
    let storage = open(&path, 1).await;
    fill(storage.as_ref(), account(1)).await;
    let mut reader = open_reader(&path).expect("a reader");
    Arc::<Interrupt>::default().register(&mut reader).expect("it is registered");
    let kept = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&kept);
    diesel::Connection::set_instrumentation(&mut reader, move |event: InstrumentationEvent<'_>| {
        if matches!(event, InstrumentationEvent::CacheQuery { .. }) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut conn = wrap(reader, TimeSource::Database);
    let mut shapes = 0;
    for filter in shapes_of_lists() {
        conn.begin().expect("a transaction");
        let page = at_once(pin_lists::list_pin_requests(&mut conn, &account(1), &filter, NOW)).expect("a list");
        conn.roll_back().expect("its end");
        assert_eq!((page.count, page.requests.len()), (3, 1), "{filter:?}");
        shapes += 1;
    }
    let kept = kept.load(Ordering::Relaxed);
    assert!(shapes > 900 && kept < 300, "{kept} statements are kept of {shapes} shapes");
}
