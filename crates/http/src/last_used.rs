//! Noting when tokens were used: gathered, and once a minute for each token at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use pinrail_domain::TokenId;
use pinrail_spec::Timestamp;
use pinrail_storage::AccessTokens;

use crate::limits::COUNTED;

/// How often the use of one token is written.
const ONCE_IN: Duration = Duration::from_mins(1);
/// How long uses are gathered before they are written together.
const GATHER: Duration = Duration::from_secs(5);

/// The uses that are still to be written.
#[derive(Clone)]
pub(crate) struct LastUsed {
    tokens: Arc<dyn AccessTokens>,
    noted: Cache<TokenId, ()>,
    waiting: Arc<Mutex<HashMap<TokenId, Timestamp>>>,
}

impl LastUsed {
    pub(crate) fn new(tokens: Arc<dyn AccessTokens>) -> Self {
        let noted = Cache::builder().max_capacity(COUNTED).time_to_live(ONCE_IN).build();
        Self { tokens, noted, waiting: Arc::default() }
    }

    /// Note that `token` was used at `now`.
    pub(crate) fn note(&self, token: TokenId, now: Timestamp) {
        if self.noted.contains_key(&token) {
            return;
        }
        self.noted.insert(token, ());
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.insert(token, now);
            waiting.len() == 1
        };
        if first {
            let this = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                this.flush().await;
            });
        }
    }

    /// Write what was gathered. A failure is logged only: a request is not refused for it.
    pub(crate) async fn flush(&self) {
        let gathered = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let used = gathered.into_iter().collect::<Vec<_>>();
        if used.is_empty() {
            return;
        }
        if let Err(error) = self.tokens.touch_tokens(&used).await {
            tracing::warn!(%error, tokens = used.len(), "could not note when tokens were used");
        }
    }
}
