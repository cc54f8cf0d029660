DROP INDEX queue_turn;
CREATE INDEX queue_turn ON queue (account, rank, due, root, node) WHERE due IS NOT NULL;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('queue', 'queue_turn', '100000 1000 300 2 1 1');
