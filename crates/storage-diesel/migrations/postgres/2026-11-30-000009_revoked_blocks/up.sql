-- The revocation ids of blocks that holders appended to a token and that were revoked alone, in hexadecimal digits with
-- commas in between: a token that was narrowed can be revoked without the one that it was narrowed from.
ALTER TABLE access_tokens ADD COLUMN revoked_blocks TEXT;
