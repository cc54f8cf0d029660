//! Ends a read that nobody waits for any more, or that takes too long.
//!
//! SQLite's own interrupt is out of reach of safe code through Diesel. Instead a list calls a function of ours for each row
//! that it looks at, and the function fails once the read is to end, which ends the statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diesel::QueryResult;
use diesel::serialize::{IsNull, Output, Result as Serialized, ToSql};
use diesel::sql_types::{BigInt, Bool};
use diesel::sqlite::{Sqlite, SqliteConnection};

#[diesel::declare_sql_function]
extern "SQL" {
    /// True as long as the read is to go on; it fails after that. `row` is of the row that is looked at, so that SQLite
    /// calls it for each.
    fn goes_on(row: BigInt) -> Bool;
}

/// Which read of a connection goes on. Each has a number, so that whoever ends one never ends the next.
#[derive(Debug, Default)]
pub(super) struct Interrupt {
    current: AtomicU64,
    /// Reads with a lower number are ended.
    ended_below: AtomicU64,
}

/// Ends a read when it is dropped.
pub(super) struct EndOnDrop {
    interrupt: Arc<Interrupt>,
    number: u64,
}

/// Whether a read goes on, as SQLite is told it.
#[derive(Debug)]
struct GoesOn(bool);

impl Interrupt {
    /// Begin a read.
    pub(super) fn begin(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    /// What ends the read that has begun.
    pub(super) fn end_on_drop(self: &Arc<Self>) -> EndOnDrop {
        EndOnDrop { interrupt: Arc::clone(self), number: self.current.load(Ordering::Relaxed) }
    }

    fn goes_on(&self) -> bool {
        self.current.load(Ordering::Relaxed) >= self.ended_below.load(Ordering::Relaxed)
    }

    /// Let the queries of this connection ask whether they go on.
    pub(super) fn register(self: &Arc<Self>, conn: &mut SqliteConnection) -> QueryResult<()> {
        let interrupt = Arc::clone(self);
        goes_on_utils::register_impl(conn, move |_row: i64| GoesOn(interrupt.goes_on()))
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.interrupt.ended_below.fetch_max(self.number + 1, Ordering::Relaxed);
    }
}

impl ToSql<Bool, Sqlite> for GoesOn {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> Serialized {
        if !self.0 {
            return Err("the read was ended".into());
        }
        out.set_value(1_i32);
        Ok(IsNull::No)
    }
}
