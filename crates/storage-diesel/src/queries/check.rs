//! Counters held against what they count, for an operator's check and for tests.

use std::collections::BTreeMap;

use diesel::prelude::*;
use pinrail_domain::RootState;

use super::tally::BUCKET_SHIFTS;
use super::{Conn, RunQueryDsl};
use crate::Difference;
use crate::error::Step;
use crate::rows::{Root, State, is_unfinished};
use crate::schema::{accounts, holds, nodes, pin_counts, pin_requests, queue, root_progress, roots};

/// What a counter says and what it counts, by what it is of.
#[derive(Default)]
struct Counters(BTreeMap<String, (i64, i64)>);

impl Counters {
    fn stored(&mut self, what: String, n: i64) {
        self.0.entry(what).or_default().0 += n;
    }

    fn counted(&mut self, what: String, n: i64) {
        self.0.entry(what).or_default().1 += n;
    }
}

/// Count everything that has a counter, and say where the two differ.
pub(crate) async fn check_counters(conn: &mut Conn) -> Step<Vec<Difference>> {
    let mut counters = Counters::default();
    stored(conn, &mut counters).await?;
    let standing = standing_roots(conn, &mut counters).await?;
    count_requests(conn, &mut counters).await?;
    count_claims(conn, &standing, &mut counters).await?;
    let differs = |(what, (stored, counted)): (String, (i64, i64))| {
        (stored != counted).then_some(Difference { what, stored, counted })
    };
    Ok(counters.0.into_iter().filter_map(differs).collect())
}

/// What the counters say.
async fn stored(conn: &mut Conn, counters: &mut Counters) -> Step<()> {
    let rows: Vec<(i64, i64, i64, i64)> = accounts::table
        .select((accounts::key, accounts::used_requests, accounts::used_queued_roots, accounts::used_bytes))
        .load(conn)
        .await?;
    for (account, requests, queued, bytes) in rows {
        counters.stored(format!("requests of account {account}"), requests);
        counters.stored(format!("queued roots of account {account}"), queued);
        counters.stored(format!("bytes of account {account}"), bytes);
    }
    let rows: Vec<(i64, i64)> = nodes::table.select((nodes::key, nodes::load)).load(conn).await?;
    for (node, load) in rows {
        counters.stored(format!("load of node {node}"), load);
    }
    let rows: Vec<(i64, i16, i64, State, i64)> = pin_counts::table
        .select((pin_counts::account, pin_counts::level, pin_counts::bucket, pin_counts::status, pin_counts::n))
        .load(conn)
        .await?;
    for (account, level, bucket, status, n) in rows {
        counters.stored(bucket_name(account, level, bucket, status.0), n);
    }
    Ok(())
}

fn bucket_name(account: i64, level: i16, bucket: i64, state: RootState) -> String {
    format!("{} requests of account {account}, level {level}, bucket {bucket}", state.as_str())
}

/// Each root's state and what it counts for, and what the roots say of themselves.
async fn standing_roots(conn: &mut Conn, counters: &mut Counters) -> Step<BTreeMap<i64, (RootState, i64)>> {
    let received: Vec<(i64, i64)> =
        root_progress::table.select((root_progress::root, root_progress::bytes)).load(conn).await?;
    let received: BTreeMap<i64, i64> = received.into_iter().collect();
    let rows: Vec<Root> = roots::table.select(Root::as_select()).load(conn).await?;
    let mut standing = BTreeMap::new();
    for root in rows {
        let (key, state) = (root.key, root.work.state.0);
        counters.stored(format!("requests for root {key}"), root.work.requests);
        counters.stored(format!("claims on root {key}"), root.work.refs);
        counters.counted(format!("load of node {}", root.work.node), i64::from(is_unfinished(state)));
        let bytes = match state {
            RootState::Pinned => root.work.dag_bytes.unwrap_or(0),
            RootState::Queued | RootState::Pinning => received.get(&key).copied().unwrap_or(0),
            RootState::Failed | RootState::Releasing => 0,
        };
        standing.insert(key, (state, bytes));
    }
    Ok(standing)
}

/// Count requests and holds, by account, bucket and root.
async fn count_requests(conn: &mut Conn, counters: &mut Counters) -> Step<()> {
    let rows: Vec<(i64, i64, i64, State)> = pin_requests::table
        .select((pin_requests::account, pin_requests::ordinal, pin_requests::root, pin_requests::status))
        .load(conn)
        .await?;
    for (account, ordinal, root, status) in rows {
        counters.counted(format!("requests of account {account}"), 1);
        counters.counted(format!("requests for root {root}"), 1);
        counters.counted(format!("claims on root {root}"), 1);
        counters.counted(format!("requests of account {account} for root {root}"), 1);
        for (level, shift) in (0..).zip(BUCKET_SHIFTS) {
            counters.counted(bucket_name(account, level, ordinal >> shift, status.0), 1);
        }
    }
    let rows: Vec<(i64, i64)> = holds::table.select((holds::root, holds::account)).load(conn).await?;
    for (root, account) in rows {
        counters.counted(format!("claims on root {root}"), 1);
        counters.counted(format!("holds of account {account} on root {root}"), 1);
    }
    Ok(())
}

/// What accounts have on roots, and what that comes to.
async fn count_claims(
    conn: &mut Conn,
    standing: &BTreeMap<i64, (RootState, i64)>,
    counters: &mut Counters,
) -> Step<()> {
    let rows: Vec<(i64, i64, i64, i64)> =
        queue::table.select((queue::root, queue::account, queue::requests, queue::holds)).load(conn).await?;
    for (root, account, requests, holds) in rows {
        counters.stored(format!("requests of account {account} for root {root}"), requests);
        counters.stored(format!("holds of account {account} on root {root}"), holds);
        let Some((state, bytes)) = standing.get(&root) else { continue };
        let queued = requests > 0 && is_unfinished(*state);
        counters.counted(format!("queued roots of account {account}"), i64::from(queued));
        counters.counted(format!("bytes of account {account}"), *bytes);
    }
    Ok(())
}
