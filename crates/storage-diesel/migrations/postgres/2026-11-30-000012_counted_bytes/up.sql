-- An account's bytes are also those that a block takes up beside its content, and those of the name, the origins and
-- the meta of its requests.
UPDATE accounts SET used_bytes = used_bytes + 1024 * counted.blocks FROM (
    SELECT queue.account, CAST(SUM(
        CASE roots.state
            WHEN 'pinned' THEN COALESCE(roots.dag_blocks, 0)
            WHEN 'queued' THEN COALESCE(root_progress.blocks, 0)
            WHEN 'pinning' THEN COALESCE(root_progress.blocks, 0)
            ELSE 0
        END
    ) AS BIGINT) AS blocks
    FROM queue JOIN roots ON roots.key = queue.root LEFT JOIN root_progress ON root_progress.root = roots.key
    GROUP BY queue.account
) AS counted WHERE counted.account = accounts.key;

UPDATE accounts SET used_bytes = used_bytes + counted.bytes FROM (
    SELECT account, CAST(SUM(
        COALESCE(octet_length(name), 0) + COALESCE(octet_length(origins), 0) + COALESCE(octet_length(meta), 0)
    ) AS BIGINT) AS bytes
    FROM pin_requests GROUP BY account
) AS counted WHERE counted.account = accounts.key;
