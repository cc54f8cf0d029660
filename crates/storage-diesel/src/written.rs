//! The insert of a request's place in a queue: SQLite runs it at once, PostgreSQL makes one of all those of a group.

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

pub(crate) use upsert_queued;
