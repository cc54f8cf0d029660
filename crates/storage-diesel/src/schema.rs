//! The tables as the migrated database has them; `cargo xtask codegen` prints this file.

// @generated automatically by Diesel CLI.

diesel::table! {
    access_tokens (id) {
        id -> Binary,
        account -> BigInt,
        name -> Text,
        scopes -> Text,
        expires -> Nullable<BigInt>,
        created -> BigInt,
        key_id -> BigInt,
        revocation_id -> Binary,
        last_used -> Nullable<BigInt>,
        revoked -> Nullable<BigInt>,
        revoked_blocks -> Nullable<Text>,
    }
}

diesel::table! {
    accounts (key) {
        key -> BigInt,
        id -> Binary,
        name -> Text,
        email -> Nullable<Text>,
        role -> Text,
        blocked -> Nullable<Text>,
        access_since -> Nullable<BigInt>,
        access_by -> Nullable<Text>,
        access_until -> Nullable<BigInt>,
        limit_requests -> Nullable<BigInt>,
        limit_queued_roots -> Nullable<BigInt>,
        limit_bytes -> Nullable<BigInt>,
        used_requests -> BigInt,
        used_queued_roots -> BigInt,
        used_bytes -> BigInt,
        last_created -> BigInt,
        next_ordinal -> BigInt,
        created -> BigInt,
        access_withdrawn -> Nullable<BigInt>,
    }
}

diesel::table! {
    audit_log (key) {
        key -> BigInt,
        at -> BigInt,
        actor -> Text,
        action -> Text,
        account -> Nullable<BigInt>,
        details -> Text,
        subject -> Text,
    }
}

diesel::table! {
    holds (owner, root) {
        owner -> Binary,
        root -> BigInt,
        account -> BigInt,
        awaited -> BigInt,
        ends -> Nullable<BigInt>,
    }
}

diesel::table! {
    nodes (key) {
        key -> BigInt,
        id -> Binary,
        backend -> Text,
        peer_id -> Text,
        addresses -> Text,
        heartbeat -> BigInt,
        load -> BigInt,
        retired -> Bool,
    }
}

diesel::table! {
    pin_counts (account, level, bucket, status) {
        account -> BigInt,
        level -> SmallInt,
        bucket -> BigInt,
        status -> Text,
        n -> BigInt,
        since -> BigInt,
    }
}

diesel::table! {
    pin_meta (account, key, value, created) {
        account -> BigInt,
        key -> Text,
        value -> Text,
        created -> BigInt,
    }
}

diesel::table! {
    pin_requests (account, created) {
        account -> BigInt,
        created -> BigInt,
        id -> Binary,
        ordinal -> BigInt,
        cid -> Text,
        root -> BigInt,
        name -> Nullable<Text>,
        folded_name -> Nullable<Text>,
        origins -> Nullable<Text>,
        meta -> Nullable<Text>,
        token -> Binary,
        status -> Text,
    }
}

diesel::table! {
    queue (root, account) {
        root -> BigInt,
        account -> BigInt,
        requests -> BigInt,
        holds -> BigInt,
        node -> BigInt,
        rank -> SmallInt,
        due -> Nullable<BigInt>,
    }
}

diesel::table! {
    queue_accounts (account, node) {
        account -> BigInt,
        node -> BigInt,
        last_served -> BigInt,
    }
}

diesel::table! {
    root_holders (root, node) {
        root -> BigInt,
        node -> BigInt,
    }
}

diesel::table! {
    root_progress (root) {
        root -> BigInt,
        blocks -> BigInt,
        bytes -> BigInt,
    }
}

diesel::table! {
    roots (key) {
        key -> BigInt,
        codec -> BigInt,
        multihash -> Binary,
        node -> BigInt,
        state -> Text,
        requests -> BigInt,
        refs -> BigInt,
        epoch -> BigInt,
        due -> BigInt,
        wanted_since -> BigInt,
        attempts -> BigInt,
        retry -> Bool,
        lease_token -> Nullable<Binary>,
        lease_until -> Nullable<BigInt>,
        lease_node -> Nullable<BigInt>,
        lease_account -> Nullable<BigInt>,
        waiting -> Bool,
        paused -> Bool,
        dag_blocks -> Nullable<BigInt>,
        dag_bytes -> Nullable<BigInt>,
        failure -> Nullable<Text>,
        copied_account -> Nullable<BigInt>,
        copied_created -> Nullable<BigInt>,
    }
}

diesel::table! {
    service (key) {
        key -> BigInt,
        id -> Binary,
        clock -> BigInt,
        needs -> Text,
        released_epoch -> BigInt,
    }
}

diesel::table! {
    signing_keys (id) {
        id -> BigInt,
        public_key -> Binary,
        state -> Text,
        created -> BigInt,
    }
}

diesel::joinable!(access_tokens -> accounts (account));
diesel::joinable!(pin_requests -> accounts (account));
diesel::joinable!(pin_requests -> roots (root));
diesel::joinable!(roots -> nodes (node));

diesel::allow_tables_to_appear_in_same_query!(
    access_tokens,
    accounts,
    audit_log,
    holds,
    nodes,
    pin_counts,
    pin_meta,
    pin_requests,
    queue,
    queue_accounts,
    root_holders,
    root_progress,
    roots,
    service,
    signing_keys,
);
