DROP INDEX queue_turn;
CREATE INDEX queue_turn ON queue (account, rank, due, root, node) WHERE due IS NOT NULL;
