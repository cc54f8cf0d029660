-- Text that indices sort, by its bytes: the rules of a language change with the server's operating system, and an index
-- that was built by other rules finds some rows no more. The tables are not written anew, their indices are, and nobody
-- reads or writes them meanwhile.
ALTER TABLE accounts ALTER COLUMN name TYPE TEXT COLLATE "C";
ALTER TABLE pin_counts ALTER COLUMN status TYPE TEXT COLLATE "C";
ALTER TABLE pin_meta ALTER COLUMN key TYPE TEXT COLLATE "C", ALTER COLUMN value TYPE TEXT COLLATE "C";
ALTER TABLE pin_requests
    ALTER COLUMN status TYPE TEXT COLLATE "C",
    ALTER COLUMN folded_name TYPE TEXT COLLATE "C";
-- Statements that programs have prepared would say another type than they did: programs connect anew, and prepare anew.
DO $$
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
        AND backend_type = 'client backend' AND application_name ~ '^pinrail( |$)'
        AND NOT EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = pg_stat_activity.pid AND locktype = 'advisory'
            AND (classid, objid) = (7367022, 1918986604));
END
$$;
