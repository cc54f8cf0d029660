DROP INDEX roots_releasing;
CREATE INDEX roots_releasing ON roots (node, due) WHERE state = 'releasing';
