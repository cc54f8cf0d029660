-- Times are milliseconds since the Unix epoch. Public ids are the 16 bytes of a UUIDv7: they sort by time and take
-- less than half the room of their text. `key` columns are short integers that only this database knows.

CREATE TABLE service (
    key INTEGER NOT NULL PRIMARY KEY CHECK (key = 1),
    id BLOB NOT NULL,
    -- The greatest time that was ever written, so that the clock never runs backwards.
    clock BIGINT NOT NULL
);
INSERT INTO service (key, id, clock) VALUES (
    1,
    unhex(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || '8' || substr(hex(randomblob(2)), 2)
        || hex(randomblob(6))),
    0
);

CREATE TABLE nodes (
    key INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    backend TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    -- A JSON array of multiaddrs.
    addresses TEXT NOT NULL,
    heartbeat BIGINT NOT NULL,
    -- Its roots that are queued or pinning.
    load BIGINT NOT NULL,
    retired BOOLEAN NOT NULL
);

CREATE TABLE accounts (
    key INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    email TEXT,
    role TEXT NOT NULL,
    blocked TEXT,
    access_since BIGINT,
    access_by TEXT,
    access_until BIGINT,
    limit_requests BIGINT,
    limit_queued_roots BIGINT,
    limit_bytes BIGINT,
    used_requests BIGINT NOT NULL,
    used_queued_roots BIGINT NOT NULL,
    used_bytes BIGINT NOT NULL,
    last_created BIGINT NOT NULL,
    next_ordinal BIGINT NOT NULL,
    created BIGINT NOT NULL
);

CREATE INDEX accounts_waiting ON accounts (key) WHERE used_queued_roots > 0;

CREATE TABLE audit_log (
    key INTEGER NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    account BIGINT,
    details TEXT NOT NULL
);
CREATE INDEX audit_log_of_account ON audit_log (account, at);

CREATE TABLE signing_keys (
    id BIGINT NOT NULL PRIMARY KEY,
    public_key BLOB NOT NULL,
    state TEXT NOT NULL,
    created BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE access_tokens (
    id BLOB NOT NULL PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES accounts (key),
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires BIGINT,
    created BIGINT NOT NULL,
    key_id BIGINT NOT NULL,
    revocation_id BLOB NOT NULL,
    last_used BIGINT,
    revoked BIGINT
) WITHOUT ROWID;
CREATE INDEX access_tokens_of_account ON access_tokens (account, created);

CREATE TABLE roots (
    -- A greater key is a younger row.
    key INTEGER NOT NULL PRIMARY KEY,
    codec BIGINT NOT NULL,
    multihash BLOB NOT NULL,
    -- The node that holds or will hold it.
    node BIGINT NOT NULL REFERENCES nodes (key),
    state TEXT NOT NULL,
    -- Requests for it, which want it fetched.
    requests BIGINT NOT NULL,
    -- Requests and holds, which keep what is there.
    refs BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    due BIGINT NOT NULL,
    wanted_since BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    retry BOOLEAN NOT NULL,
    lease_token BLOB,
    lease_until BIGINT,
    lease_node BIGINT,
    lease_account BIGINT,
    waiting BOOLEAN NOT NULL,
    paused BOOLEAN NOT NULL,
    -- The whole DAG, once it is known.
    dag_blocks BIGINT,
    dag_bytes BIGINT,
    -- Why the last attempt failed, as JSON.
    failure TEXT,
    -- Up to which of its requests its state has been copied; NULL when to all.
    copied_account BIGINT,
    copied_created BIGINT
);
CREATE UNIQUE INDEX roots_codec_multihash ON roots (codec, multihash);
CREATE INDEX roots_leased ON roots (lease_until) WHERE lease_token IS NOT NULL;
CREATE INDEX roots_waiting ON roots (node, codec, multihash) WHERE waiting;
CREATE INDEX roots_to_copy ON roots (copied_account) WHERE copied_account IS NOT NULL;
CREATE INDEX roots_releasing ON roots (node, due) WHERE state = 'releasing';
CREATE INDEX roots_pinned ON roots (node) WHERE state = 'pinned';

CREATE TABLE root_progress (
    root BIGINT NOT NULL PRIMARY KEY,
    blocks BIGINT NOT NULL,
    bytes BIGINT NOT NULL
) WITHOUT ROWID;

-- Every node that leased it to pin it and so may have a copy, a partial one too: an unpin has to reach all of them.
CREATE TABLE root_holders (
    root BIGINT NOT NULL,
    node BIGINT NOT NULL,
    PRIMARY KEY (root, node)
) WITHOUT ROWID;

CREATE TABLE pin_requests (
    account BIGINT NOT NULL REFERENCES accounts (key),
    created BIGINT NOT NULL,
    id BLOB NOT NULL,
    ordinal BIGINT NOT NULL,
    -- As it was sent.
    cid TEXT NOT NULL,
    root BIGINT NOT NULL REFERENCES roots (key),
    name TEXT,
    folded_name TEXT,
    -- JSON arrays and objects, NULL when empty; pin_meta holds the same pairs for look-ups.
    origins TEXT,
    meta TEXT,
    token BLOB NOT NULL,
    -- The root's state as it was copied last.
    status TEXT NOT NULL,
    PRIMARY KEY (account, created)
) WITHOUT ROWID;
CREATE UNIQUE INDEX pin_requests_id ON pin_requests (id);
CREATE INDEX pin_requests_root ON pin_requests (root, account, created);
CREATE INDEX pin_requests_status ON pin_requests (account, status, created);
CREATE INDEX pin_requests_name ON pin_requests (account, folded_name, created) WHERE folded_name IS NOT NULL;

CREATE TABLE pin_meta (
    account BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (account, key, value, created)
) WITHOUT ROWID;

-- How many of an account's requests stand where, in buckets of 1,024 (level 0) and 1,048,576 (level 1) ordinals.
CREATE TABLE pin_counts (
    account BIGINT NOT NULL,
    level SMALLINT NOT NULL,
    bucket BIGINT NOT NULL,
    status TEXT NOT NULL,
    n BIGINT NOT NULL,
    -- Not later than any request counted here, and not earlier than the bucket begins.
    since BIGINT NOT NULL,
    PRIMARY KEY (account, level, bucket, status)
) WITHOUT ROWID;

-- A replaced request holds its root until the request that replaced it no longer waits.
CREATE TABLE holds (
    -- The request that replaced.
    owner BLOB NOT NULL,
    -- What is held.
    root BIGINT NOT NULL,
    account BIGINT NOT NULL,
    -- The owner's root: the hold ends when it is pinned.
    awaited BIGINT NOT NULL,
    -- When it ends at the latest, once the owner's root failed.
    ends BIGINT,
    PRIMARY KEY (owner, root)
) WITHOUT ROWID;
CREATE INDEX holds_awaited ON holds (awaited);
CREATE INDEX holds_ending ON holds (ends) WHERE ends IS NOT NULL;

-- Which accounts want which roots and, while one may be leased, its place in each account's own queue.
CREATE TABLE queue (
    root BIGINT NOT NULL,
    account BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    holds BIGINT NOT NULL,
    -- The root's node.
    node BIGINT NOT NULL,
    -- 0: queued. 1: pinning and no retry. 2: a retry.
    rank SMALLINT NOT NULL,
    -- The root's due; NULL while it is not to be leased for this account.
    due BIGINT,
    PRIMARY KEY (root, account)
) WITHOUT ROWID;
CREATE INDEX queue_turn ON queue (account, rank, due, root, node) WHERE due IS NOT NULL;

-- When a node last served an account. How many roots run for it is no column: it is counted from the leases, so it
-- cannot drift.
CREATE TABLE queue_accounts (
    account BIGINT NOT NULL,
    node BIGINT NOT NULL,
    last_served BIGINT NOT NULL,
    PRIMARY KEY (account, node)
) WITHOUT ROWID;

-- What the planner goes by, for ever: the figures of a large database, so that a plan never depends on how large
-- this one was when somebody looked. Without them an exact name is looked for in all requests of an account.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('pin_requests', 'pin_requests', '1000000 100000 1'),
    ('pin_requests', 'pin_requests_id', '1000000 1'),
    ('pin_requests', 'pin_requests_root', '1000000 2 2 1'),
    ('pin_requests', 'pin_requests_status', '1000000 100000 100 1'),
    ('pin_requests', 'pin_requests_name', '1000000 100000 2 1'),
    ('pin_meta', 'pin_meta', '1000000 100000 10000 10 1'),
    ('pin_counts', 'pin_counts', '10000 1000 500 2 1'),
    ('queue', 'queue', '1000000 2 1'),
    ('queue', 'queue_turn', '100000 1000 300 2 1 1'),
    ('roots', 'roots_codec_multihash', '1000000 250000 1'),
    ('roots', 'roots_leased', '1000 2'),
    ('roots', 'roots_waiting', '10000 5000 2500 1'),
    ('roots', 'roots_to_copy', '100 10'),
    ('roots', 'roots_releasing', '1000 500 2'),
    ('roots', 'roots_pinned', '1000000 500000');
