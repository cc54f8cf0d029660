//! What is PostgreSQL's own: many processes on one database, groups, wake-ups, restarts, and what its operators want.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pinrail_domain::{DagSize, Limits, Verdict};
use pinrail_spec::{Match, NameFilter, PinFilter, Timestamp};
use pinrail_storage::{Accounts, Nodes, PinRequests, RootQueue, Settlement, Storage, StorageError};
use pinrail_storage_diesel::{PostgresOptions, PostgresStorage, postgres_schema};
use pinrail_testbed::postgres::{Server, ServerOptions};

use crate::clock::system_time;
use crate::scene::{add_while_working, everything, registration, request, settle_in};
use crate::server::PostgresDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_a_database() {
    let database = PostgresDatabase::new();
    let (api, worker) = (database.open().await, database.open().await);
    add_while_working(&api, &worker).await;
    assert_eq!(api.check_counters().await.expect("the counters are read"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn due_times_go_by_the_servers_clock_whatever_an_api_shows() {
    let database = PostgresDatabase::new();
    let (api, worker) = (database.open().await, database.open().await);
    let (account, node) = settle_in(&api, Limits::UNLIMITED).await;
    let silent = registration(0, "/ip4/203.0.113.9/tcp/4401");
    let hour = Duration::from_hours(1);
    let begun = worker.now().await.expect("the clock is read");
    worker.register_node(&silent, Timestamp::from_millis(begun.as_millis() - 600_000)).await.expect("registered");
    let behind = Timestamp::from_millis(begun.as_millis() - 3_600_000);
    for (number, shown) in [(1, begun + hour), (2, behind)] {
        let added = api.add_pin_request(&request(account, number), shown).await.expect("it is added");
        assert!(!added.root.node_silent && added.delegates != silent.addresses, "{shown}: {added:?}");
        let now = worker.now().await.expect("the clock is read");
        assert!(begun <= added.created && added.created <= now, "{shown}: {}", added.created);
        let found = api.find_pin_request(&account, &added.id, shown).await.expect("it is read").expect("it is there");
        let page = api.list_pin_requests(&account, &everything(), shown).await.expect("a page");
        assert!(!found.root.node_silent && !page.requests[0].root.node_silent, "{shown}");
        let read = worker.now().await.expect("the clock is read");
        let is_of_now = |as_of| now <= as_of && as_of <= read;
        assert!(is_of_now(found.as_of) && is_of_now(page.requests[0].as_of), "{shown}: {}", found.as_of);
        let leases = worker.lease_due(&node, now, now + Duration::from_mins(1), 16, 1_000).await.expect("leases");
        let wanted: Vec<_> = leases.iter().map(|lease| lease.wanted_since).collect();
        assert!(wanted.len() == 1 && begun <= wanted[0] && wanted[0] <= now, "{shown}: {wanted:?}");
        let pinned = Verdict::Pinned { size: DagSize { blocks: 1, bytes: 5 } };
        worker
            .settle(&[Settlement { lease: leases[0].key.clone(), verdict: pinned }], now)
            .await
            .expect("it is settled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_two_processes_make_at_once_is_one() {
    let database = PostgresDatabase::new();
    let storages = [Arc::new(database.open().await), Arc::new(database.open().await)];
    let (account, _) = settle_in(&*storages[0], Limits::UNLIMITED).await;
    let other = pinrail_domain::AccountId::new(system_time(), crate::scene::bytes(77));
    let new = pinrail_storage::NewAccount {
        id: other,
        name: "eve".to_owned(),
        email: None,
        role: pinrail_domain::Role::Pinner,
        limits: Limits::UNLIMITED,
    };
    storages[0].add_account(&new, system_time()).await.expect("the account is added");
    let mut adding = tokio::task::JoinSet::new();
    for number in 0..40 {
        for (storage, account) in storages.iter().zip([account, other]) {
            let mut request = request(account, number);
            request.id = pinrail_domain::RequestId::new(
                system_time(),
                crate::scene::bytes(number * 2 + u64::from(account == other)),
            );
            let storage = Arc::clone(storage);
            adding.spawn(async move { storage.add_pin_request(&request, system_time()).await });
        }
    }
    while let Some(added) = adding.join_next().await {
        added.expect("it ends").expect("it is added");
    }
    assert_eq!(storages[0].check_counters().await.expect("the counters are read"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_a_bad_request_fails_alone() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits { requests: Some(3), ..Limits::UNLIMITED }).await;
    let taken = request(account, 100);
    storage.add_pin_request(&taken, system_time()).await.expect("it is added");
    // What comes while the first group is added waits for the second, with an id among it that is taken.
    let adding = (0..6).map(|number| {
        let mut request = request(account, number);
        if number == 3 {
            request.id = taken.id;
        }
        let storage = &storage;
        async move { storage.add_pin_request(&request, system_time()).await }
    });
    let outcomes = join_all(adding).await;
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Err(StorageError::Conflict(_)))).count();
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(StorageError::Quota(_)))).count();
    assert_eq!((accepted, conflicts, refused), (2, 1, 3), "{outcomes:?}");
    assert_eq!(storage.check_counters().await.expect("the counters are read"), []);
}

/// Have one process add a request, of which the other one hears.
pub async fn ensure_woken(api: &dyn Storage, worker: &dyn Storage) {
    let (account, _) = settle_in(api, Limits::UNLIMITED).await;
    // What was changed before is told, and then there is nothing to tell.
    while tokio::time::timeout(Duration::from_millis(500), worker.changed()).await.is_ok() {}
    let request = request(account, 1);
    let (changed, added) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(30), worker.changed()),
        api.add_pin_request(&request, system_time())
    );
    changed.expect("it is told in time").expect("it is told");
    added.expect("it is added");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_process_is_noticed() {
    let database = PostgresDatabase::new();
    let (api, worker) = (database.open().await, database.open().await);
    ensure_woken(&api, &worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn meta_too_long_for_an_index_is_kept_and_found() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    // Neither repeats itself, so that no compression makes them short.
    let [key, value] = [1_u64, 2].map(|seed| {
        let mut state = seed;
        let letter = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + u8::try_from(state >> 60).expect("four bits"))
        };
        (0..3_000).map(letter).collect::<String>()
    });
    let mut request = request(account, 1);
    request.pin.meta.insert(key.clone(), value.clone());
    let added = storage.add_pin_request(&request, system_time()).await.expect("it is added");
    let mut filter = everything();
    filter.meta.insert(key.clone(), value.clone());
    let page = storage.list_pin_requests(&account, &filter, system_time()).await.expect("a page");
    assert_eq!((page.count, &page.requests[0].pin), (1, &request.pin));
    filter.meta.insert(key, value + "x");
    let page = storage.list_pin_requests(&account, &filter, system_time()).await.expect("a page");
    assert_eq!(page.count, 0);
    assert!(storage.remove_pin_request(&account, &added.id, system_time()).await.expect("it is removed"));
    assert_eq!(database.sql("SELECT count(*) FROM pin_meta").trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_found_nowhere() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    storage.add_pin_request(&request(account, 1), system_time()).await.expect("it is added");
    for matching in [Match::Exact, Match::Ipartial] {
        let name = Some(NameFilter { text: "pin\0".to_owned(), matching });
        let page = storage.list_pin_requests(&account, &PinFilter { name, ..everything() }, system_time()).await;
        assert_eq!(page.expect("a page").count, 0);
    }
    let filter = PinFilter { meta: [("a".to_owned(), "\0".to_owned())].into(), ..everything() };
    let page = storage.list_pin_requests(&account, &filter, system_time()).await;
    assert_eq!(page.expect("a page").count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_read_leaves_no_transaction_open() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    for _ in 0..3 {
        storage.list_pin_requests(&account, &everything(), system_time()).await.expect("a page");
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
    let is_closed = (0..100).any(|_| database.sql(open).trim() == "0");
    assert!(is_closed, "nobody waited for the end, but it has to come");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_the_servers() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let before = system_time();
    let told = storage.now().await.expect("it has a clock");
    // The server runs on this machine, so the clocks are one.
    assert!(before <= told && told <= system_time(), "{told} is not between");
}

/// A server of its own, with one migrated database.
async fn own_server(options: &ServerOptions) -> (Server, String) {
    let server = Server::start(options).expect("PostgreSQL is installed");
    let url = server.url(&server.create().expect("a database is made"));
    postgres_schema::migrate(&url).await.expect("an empty database is migrated");
    (server, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_and_comes_back_is_used_again() {
    let (server, url) = own_server(&ServerOptions { durable: true, ..ServerOptions::default() }).await;
    let (api, worker) = (
        PostgresStorage::open(&url, &PostgresOptions::default()).await,
        PostgresStorage::open(&url, &PostgresOptions::default()).await,
    );
    let (api, worker) = (api.expect("it is opened"), worker.expect("it is opened"));
    let (account, node) = settle_in(&api, Limits::UNLIMITED).await;
    let mut kept = Vec::new();
    for round in 0..2_u64 {
        // Requests are under way while the server crashes.
        let adding = join_all((0..50).map(|number| {
            let request = request(account, round * 100 + number);
            let api = &api;
            async move { (request.id, api.add_pin_request(&request, system_time()).await) }
        }));
        let crash = async {
            if round == 0 {
                tokio::task::yield_now().await;
                tokio::task::block_in_place(|| server.crash());
            }
        };
        let (outcomes, ()) = tokio::join!(adding, crash);
        for (id, outcome) in outcomes {
            match outcome {
                Ok(_) => kept.push(id),
                Err(StorageError::Unavailable(_)) if round == 0 => {}
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        if round == 0 {
            let gone = api.ready().await;
            assert!(matches!(gone, Err(StorageError::Unavailable(_))), "{gone:?}");
            let gone = worker.now().await;
            assert!(matches!(gone, Err(StorageError::Unavailable(_))), "{gone:?}");
            tokio::task::block_in_place(|| server.start_again()).expect("it starts");
            api.ready().await.expect("it is back by itself");
        }
    }
    assert!(kept.len() >= 50, "what was added after the crash is there: {}", kept.len());
    for id in kept {
        let found = api.find_pin_request(&account, &id, system_time()).await.expect("it is read");
        assert!(found.is_some(), "{id} was answered and is gone");
    }
    let now = system_time();
    worker.lease_due(&node, now, now + Duration::from_mins(1), 16, 64).await.expect("the worker goes on");
    assert_eq!(api.check_counters().await.expect("the counters are read"), []);
    // The connection for wake-ups comes back too, as soon as it has tried again.
    for number in 1_000.. {
        let woken = tokio::time::timeout(Duration::from_secs(1), worker.changed());
        let request = request(account, number);
        let (woken, _) = tokio::join!(woken, api.add_pin_request(&request, system_time()));
        if woken.is_ok() {
            break;
        }
        assert!(number < 1_030, "wake-ups never came back");
    }
}
