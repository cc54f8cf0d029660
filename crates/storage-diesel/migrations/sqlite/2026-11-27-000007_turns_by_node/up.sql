-- Each node's places in an account's queue for themselves: what is due on one node is found without a look at those of
-- others, however many these are.
DROP INDEX queue_turn;
CREATE INDEX queue_turn ON queue (account, node, rank, due, root) WHERE due IS NOT NULL;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('queue', 'queue_turn', '100000 1000 500 300 2 1');
