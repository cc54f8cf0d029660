//! A pin request's row in the domain's words.

use std::collections::BTreeMap;

use pinrail_domain::NewPinRequest;
use pinrail_spec::{Cid, Pin, fold};

use super::{MetaRow, PinRequestRow, State};
use crate::convert::{addresses, addresses_text, id_bytes, json, json_text, look_up_text, to_column};
use crate::error::{TxError, TxResult};

impl PinRequestRow {
    /// The row of a new request for a root in this state.
    pub(crate) fn new(
        request: &NewPinRequest,
        (account, created, ordinal): (i64, i64, i64),
        root: i64,
        status: State,
    ) -> TxResult<Self> {
        let pin = &request.pin;
        Ok(Self {
            account,
            created,
            id: id_bytes(request.id.as_uuid()),
            ordinal,
            cid: pin.cid.as_str().to_owned(),
            root,
            name: pin.name.clone(),
            folded_name: pin.name.as_deref().map(fold),
            origins: (!pin.origins.is_empty()).then(|| addresses_text(&pin.origins)),
            meta: if pin.meta.is_empty() { None } else { Some(json_text(&pin.meta)?) },
            token: id_bytes(request.token.as_uuid()),
            status,
        })
    }

    /// The rows by which its meta is found, from the meta that its column holds as JSON.
    pub(crate) fn meta_rows(&self, meta: &BTreeMap<String, String>) -> Vec<MetaRow> {
        let row = |(key, value): (&String, &String)| MetaRow {
            account: self.account,
            key: look_up_text(key).into_owned(),
            value: look_up_text(value).into_owned(),
            created: self.created,
        };
        meta.iter().map(row).collect()
    }

    /// The bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        [&self.name, &self.origins, &self.meta].into_iter().flatten().map(String::len).sum()
    }

    /// The bytes that it counts for in its account: as [`pinrail_domain::carried_bytes`] of its pin.
    pub(crate) fn carried_bytes(&self) -> i64 {
        to_column(self.bytes() as u64)
    }

    /// What was asked for.
    pub(crate) fn pin(&self) -> TxResult<Pin> {
        let cid = Cid::parse(&self.cid).map_err(|error| TxError::corrupt(format!("CID {:?}: {error}", self.cid)))?;
        let origins = self.origins.as_deref().map(addresses).transpose()?.unwrap_or_default();
        Ok(Pin { cid, name: self.name.clone(), origins, meta: meta_of(self.meta.as_deref())? })
    }
}

/// The meta of a request, from its column.
pub(crate) fn meta_of(column: Option<&str>) -> TxResult<BTreeMap<String, String>> {
    Ok(column.map(|text| json("meta", text)).transpose()?.unwrap_or_default())
}
