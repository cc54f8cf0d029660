-- The greatest epoch of a root whose row went. IPFS backends remember the epochs that they released, so a row that is
-- made later has to begin above it, whatever the clock says by then.
ALTER TABLE service ADD COLUMN released_epoch BIGINT NOT NULL DEFAULT 0;
