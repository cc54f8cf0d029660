//! A root's row in the domain's words, and back.

use pinrail_domain::{DagSize, LeaseKey, LeaseRecord, LeaseToken, RootRecord};
use pinrail_spec::RootKey;

use super::{RootRow, State};
use crate::convert::{from_column, id, id_bytes, json, json_text, moment, root_key, to_column};
use crate::error::{TxError, TxResult};

/// The codec and multihash that name a root.
pub(crate) type RootName = (i64, Vec<u8>);

pub(crate) fn root_name(root: RootKey) -> RootName {
    (to_column(root.codec), root.multihash)
}

/// A root as the queries work on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) key: i64,
    pub(crate) name: RootName,
    /// The key of the node that holds or will hold it.
    pub(crate) node: i64,
    pub(crate) record: RootRecord,
    /// The keys of the node and of the account that its lease was taken for; no account for a release.
    pub(crate) leased_for: Option<(i64, Option<i64>)>,
    /// The last request (account, created) that its state was copied to; `None` once all have it.
    pub(crate) copied: Option<(i64, i64)>,
}

impl TryFrom<RootRow> for Root {
    type Error = TxError;

    fn try_from(row: RootRow) -> TxResult<Self> {
        let token = row.lease_token.as_deref().map(id).transpose()?.map(LeaseToken::from_uuid);
        let size = row.dag_blocks.zip(row.dag_bytes);
        Ok(Self {
            key: row.key,
            name: (row.codec, row.multihash),
            node: row.node,
            leased_for: token.and(row.lease_node).map(|node| (node, row.lease_account)),
            copied: row.copied_account.zip(row.copied_created),
            record: RootRecord {
                state: row.state.0,
                requests: from_column(row.requests),
                refs: from_column(row.refs),
                epoch: from_column(row.epoch),
                due: moment(row.due),
                wanted_since: moment(row.wanted_since),
                attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
                retry: row.retry,
                waiting: row.waiting,
                paused: row.paused,
                lease: token.zip(row.lease_until).map(|(token, until)| LeaseRecord { token, until: moment(until) }),
                size: size.map(|(blocks, bytes)| DagSize { blocks: from_column(blocks), bytes: from_column(bytes) }),
                failure: row.failure.as_deref().map(|text| json("failure", text)).transpose()?,
            },
        })
    }
}

impl Root {
    pub(crate) fn root_key(&self) -> RootKey {
        root_key(self.name.0, &self.name.1)
    }

    /// The key of the lease that holds it.
    pub(crate) fn lease_key(&self) -> TxResult<LeaseKey> {
        let lease = self.record.lease.ok_or_else(|| TxError::corrupt("a leased root has no lease"))?;
        Ok(LeaseKey { root: self.root_key(), token: lease.token, epoch: self.record.epoch })
    }

    /// Its row.
    pub(crate) fn row(&self) -> TxResult<RootRow> {
        let record = &self.record;
        let leased_for = record.lease.and(self.leased_for);
        Ok(RootRow {
            key: self.key,
            codec: self.name.0,
            multihash: self.name.1.clone(),
            node: self.node,
            state: State(record.state),
            requests: to_column(record.requests),
            refs: to_column(record.refs),
            epoch: to_column(record.epoch),
            due: record.due.as_millis(),
            wanted_since: record.wanted_since.as_millis(),
            attempts: i64::from(record.attempts),
            retry: record.retry,
            lease_token: record.lease.map(|lease| id_bytes(lease.token.as_uuid())),
            lease_until: record.lease.map(|lease| lease.until.as_millis()),
            lease_node: leased_for.map(|(node, _)| node),
            lease_account: leased_for.and_then(|(_, account)| account),
            waiting: record.waiting,
            paused: record.paused,
            dag_blocks: record.size.map(|size| to_column(size.blocks)),
            dag_bytes: record.size.map(|size| to_column(size.bytes)),
            failure: record.failure.as_ref().map(json_text).transpose()?,
            copied_account: self.copied.map(|(account, _)| account),
            copied_created: self.copied.map(|(_, created)| created),
        })
    }
}
