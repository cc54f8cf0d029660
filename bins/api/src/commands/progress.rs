//! How far rows have come, for whoever waits.

use pinrail_storage_diesel::transfer::Moved;

/// Rows of a table between two lines.
const EVERY: u64 = 10_000;

/// What was moved so far: of each table the latest.
#[derive(Debug, Default)]
pub struct Progress {
    tables: Vec<Moved>,
}

impl Progress {
    /// Note how far it has come, and say it on the standard error every so many rows.
    pub fn tell(&mut self, moved: Moved) {
        if let Some(line) = self.note(moved) {
            eprintln!("{line}");
        }
    }

    fn note(&mut self, moved: Moved) -> Option<String> {
        let before = self.tables.pop_if(|last| last.table == moved.table).map_or(0, |last| last.rows);
        self.tables.push(moved);
        let is_worth_it = before / EVERY < moved.rows / EVERY;
        is_worth_it.then(|| format!("{}: {} of {} rows", moved.table, moved.rows, moved.of))
    }

    /// What an operator thinks in, counted.
    pub fn summary(&self) -> String {
        let rows = |table: &str| self.tables.iter().find(|moved| moved.table == table).map_or(0, |moved| moved.rows);
        let (accounts, tokens) = (rows("accounts"), rows("access_tokens"));
        let (requests, roots) = (rows("pin_requests"), rows("roots"));
        format!("{accounts} accounts, {tokens} access tokens, {requests} pin requests, {roots} roots")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_every_ten_thousand_rows_of_a_table() {
        let mut progress = Progress::default();
        let mut note = |table, rows| progress.note(Moved { table, rows, of: 25_000 });
        assert_eq!(note("accounts", 9_500), None);
        assert_eq!(note("roots", 9_500), None);
        assert_eq!(note("roots", 10_000), Some("roots: 10000 of 25000 rows".to_owned()));
        assert_eq!(note("roots", 19_999), None);
        assert_eq!(note("roots", 20_500), Some("roots: 20500 of 25000 rows".to_owned()));
        assert_eq!(progress.summary(), "9500 accounts, 0 access tokens, 0 pin requests, 20500 roots");
    }
}
