//! Counters that are wrong are found wherever they stand, and said as they are; what is right is passed over.

use pinrail_storage_diesel::CounterMismatch;

use crate::crowd;
use crate::scene::add_while_working;
use crate::server::PostgresDatabase;

/// What 12,000 requests of 1,200 accounts leave behind for roots of their own, which are there: more of each than is read
/// at once.
const CROWD: &str = "
    INSERT INTO accounts (key, id, name, role, used_requests, used_queued_roots, used_bytes, last_created, next_ordinal,
        created)
    SELECT 1000 + n, decode(lpad(to_hex(n), 32, '0'), 'hex'), 'crowd ' || n, 'pinner', 10, 10, 0, 12000, 10, 0
    FROM generate_series(1, 1200) AS n;
    INSERT INTO pin_requests (account, created, id, ordinal, cid, root, token, status)
    SELECT 1000 + due % 1200 + 1, due, decode(lpad(to_hex(due), 32, '0'), 'hex'), due / 1200.0001, 'b', key,
        decode(repeat('00', 16), 'hex'), 'queued'
    FROM roots WHERE codec = 112;
    INSERT INTO queue (root, account, requests, holds, node, rank, due)
    SELECT key, 1000 + due % 1200 + 1, 1, 0, node, 0, due FROM roots WHERE codec = 112;
    INSERT INTO pin_counts (account, level, bucket, status, n, since)
    SELECT 1000 + n, level, 0, 'queued', 10, 0 FROM generate_series(1, 1200) AS n, generate_series(0, 1) AS level;
    UPDATE nodes SET load = load + 12000;";

/// Something of everything that is counted, wrong, also where nothing else stands.
const WRONG: &str = "
    UPDATE accounts SET used_requests = 11 WHERE key IN (1001, 2200);
    UPDATE accounts SET used_queued_roots = 8, used_bytes = 7 WHERE key = 2200;
    UPDATE nodes SET load = load - 1;
    UPDATE pin_counts SET n = 12 WHERE account = 1700 AND level = 1;
    INSERT INTO pin_counts (account, level, bucket, status, n, since) VALUES (9999, 0, 3, 'failed', 4, 0);
    UPDATE roots SET requests = 3, refs = 2 WHERE key = (SELECT max(key) FROM roots);
    UPDATE roots SET refs = 0 WHERE key = (SELECT min(key) FROM roots);
    UPDATE queue SET requests = 5 WHERE root = (SELECT max(root) FROM queue);
    UPDATE queue SET node = 77, rank = 2, due = NULL WHERE root = (SELECT max(root) - 1 FROM queue);
    UPDATE queue SET due = 5 WHERE root = (SELECT min(root) FROM queue);
    INSERT INTO queue (root, account, requests, holds, node, rank) VALUES (999999, 1001, 1, 2, 1, 0);
    INSERT INTO holds (owner, root, account, awaited) VALUES (decode(repeat('00', 16), 'hex'), 888888, 1001, 1);";

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_counter_is_found() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    add_while_working(&storage, &storage).await;
    crowd::add_roots(&database, "queued", 12_000);
    database.sql(CROWD);
    assert_eq!(storage.check_counters().await.expect("they are counted"), []);

    database.sql(WRONG);
    let [first, place, last, node] =
        ["min(key) FROM roots", "max(key) - 1 FROM roots", "max(key) FROM roots", "key FROM nodes"]
            .map(|asked| database.sql(&format!("SELECT {asked}")).trim().to_owned());
    let owner_of = |root: &str| {
        let owner = database.sql(&format!("SELECT account FROM pin_requests WHERE root = {root}"));
        owner.trim().to_owned()
    };
    let owner = owner_of(&last);
    let [pinned, queued] = [&first, &place].map(|root| format!("{root} in the queue of account {}", owner_of(root)));
    let mut wanted = vec![
        ("requests of account 1001".to_owned(), 11, 10),
        ("requests of account 2200".to_owned(), 11, 10),
        ("queued roots of account 2200".to_owned(), 8, 10),
        ("bytes of account 2200".to_owned(), 7, 0),
        (format!("load of node {node}"), 11_999, 12_000),
        ("queued requests of account 1700, level 1, bucket 0".to_owned(), 12, 10),
        ("failed requests of account 9999, level 0, bucket 3".to_owned(), 4, 0),
        (format!("requests for root {last}"), 3, 1),
        (format!("claims on root {last}"), 2, 1),
        (format!("claims on root {first}"), 0, 1),
        (format!("requests of account {owner} for root {last}"), 5, 1),
        (format!("node of root {queued}"), 77, node.parse().expect("a key")),
        (format!("rank of root {queued}"), 2, 0),
        (format!("due of root {queued}"), 0, 11_999),
        (format!("due of root {pinned}"), 5, 0),
        ("requests of account 1001 for root 999999".to_owned(), 1, 0),
        ("holds of account 1001 on root 999999".to_owned(), 2, 0),
        ("claims on root 888888".to_owned(), 0, 1),
        ("holds of account 1001 on root 888888".to_owned(), 0, 1),
    ];
    wanted.sort();
    let wanted: Vec<_> =
        wanted.into_iter().map(|(what, stored, counted)| CounterMismatch { what, stored, counted }).collect();
    assert_eq!(storage.check_counters().await.expect("they are counted"), wanted);
}
