-- When an account's access was withdrawn, so that it is not told that it never had any.
ALTER TABLE accounts ADD COLUMN access_withdrawn BIGINT;
-- What an operator did something to: the name of an account, the id of a token, a key or a node, a file.
ALTER TABLE audit_log ADD COLUMN subject TEXT NOT NULL DEFAULT '';
