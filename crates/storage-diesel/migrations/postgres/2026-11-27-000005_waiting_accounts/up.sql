-- Whether an account waits for roots, in a column of its own: an index that is about a counter is written anew with
-- every change of that, and all others of the table with it. Rows find room for their next versions on their own page.
-- A program of the version before goes on: it reads all accounts to find those that wait.
DROP INDEX accounts_waiting;
ALTER TABLE accounts SET (fillfactor = 50);
ALTER TABLE accounts ADD COLUMN waiting BOOLEAN NOT NULL GENERATED ALWAYS AS (used_queued_roots > 0) STORED;
CREATE INDEX accounts_waiting ON accounts (key) WHERE waiting;
