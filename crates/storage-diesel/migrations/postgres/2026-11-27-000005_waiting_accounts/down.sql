DROP INDEX accounts_waiting;
ALTER TABLE accounts DROP COLUMN waiting;
ALTER TABLE accounts RESET (fillfactor);
CREATE INDEX accounts_waiting ON accounts (key) WHERE used_queued_roots > 0;
