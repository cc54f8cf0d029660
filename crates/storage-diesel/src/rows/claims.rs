//! A row of the queue in the domain's words.

use pinrail_domain::Claims;

use super::QueueRow;
use crate::convert::from_column;

impl QueueRow {
    /// What the account has on the root.
    pub(crate) fn claims(&self) -> Claims {
        Claims { requests: from_column(self.requests), holds: from_column(self.holds) }
    }
}
