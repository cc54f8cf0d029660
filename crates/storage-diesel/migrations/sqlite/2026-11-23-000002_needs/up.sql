-- The migration that a program has to know to use this schema. A migration that only adds leaves it as it is, so that
-- programs of the version before go on; one that takes something away sets it to the name of its folder.
ALTER TABLE service ADD COLUMN needs TEXT NOT NULL DEFAULT '';
