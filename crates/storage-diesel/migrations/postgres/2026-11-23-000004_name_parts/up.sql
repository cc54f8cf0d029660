-- Parts of names, looked for among an account's own alone. The index needs two extensions of PostgreSQL's own package:
-- where they are not installed, or this user may not create them, Pinrail works without it, `pinrail-api check` says
-- so, and `pinrail-api migrate` tries again each time it is run.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE EXTENSION IF NOT EXISTS btree_gin;
    -- What waits to be sorted in is read whole by each search, and sorted in by the insert that finds it full: it is
    -- kept a sixteenth as long (in kB) as is usual.
    CREATE INDEX IF NOT EXISTS pin_requests_name_parts ON pin_requests
        USING gin (account, folded_name gin_trgm_ops) WITH (gin_pending_list_limit = 256)
        WHERE folded_name IS NOT NULL;
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
    RAISE NOTICE 'parts of names are looked for without an index: %', SQLERRM;
END
$$;
