ALTER TABLE access_tokens DROP COLUMN revoked_blocks;
