-- Releases in the order in which they are taken, so that a lease reads no more of them than it takes.
DROP INDEX roots_releasing;
CREATE INDEX roots_releasing ON roots (node, due, key) WHERE state = 'releasing';
