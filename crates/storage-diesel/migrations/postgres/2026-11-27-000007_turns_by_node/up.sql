-- Each node's places in an account's queue for themselves: what is due on one node is found without a look at those of
-- others, however many these are.
DROP INDEX queue_turn;
CREATE INDEX queue_turn ON queue (account, node, rank, due, root) WHERE due IS NOT NULL;
