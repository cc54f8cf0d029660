ALTER TABLE service DROP COLUMN released_epoch;
