//! The inserts of what a new request adds, one row each: SQLite runs them one by one, PostgreSQL makes one of all those
//! of a group.

/// Count requests of accounts for roots, whose places in the accounts' queues are the rows' own.
macro_rules! upsert_queued {
    ($row:expr) => {
        diesel::insert_into(queue::table).values($row).on_conflict((queue::root, queue::account)).do_update().set((
            queue::requests.eq(queue::requests + excluded(queue::requests)),
            queue::node.eq(excluded(queue::node)),
            queue::rank.eq(excluded(queue::rank)),
            queue::due.eq(excluded(queue::due)),
        ))
    };
}

/// Count requests in buckets, since the oldest of them.
macro_rules! upsert_counts {
    ($row:expr) => {{
        let new = excluded(pin_counts::since);
        diesel::insert_into(pin_counts::table)
            .values($row)
            .on_conflict((pin_counts::account, pin_counts::level, pin_counts::bucket, pin_counts::status))
            .do_update()
            .set((
                pin_counts::n.eq(pin_counts::n + excluded(pin_counts::n)),
                pin_counts::since.eq(case_when(new.lt(pin_counts::since), new).otherwise(pin_counts::since)),
            ))
    }};
}

pub(crate) use {upsert_counts, upsert_queued};
