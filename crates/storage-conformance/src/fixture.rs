//! A fresh storage with a clock that a check moves, and the steps that most checks take.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use pinrail_domain::{
    Account, AccountId, Lease, LeaseNews, LeaseTask, Limits, NewPinRequest, NodeId, PinPage, PinRequest, Progress,
    RequestId, Role, TokenId, Usage, Verdict,
};
use pinrail_spec::{Pin, PinFilter, Status, Timestamp};
use pinrail_storage::{NewAccount, ProgressReport, Settlement, Storage, StorageError};
use uuid::Uuid;

use crate::TestClock;
use crate::samples::{pin, pinned, registration};

/// When every check begins, unless it was given another clock.
const BEGIN: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// How long the leases of checks last.
pub(crate) const LEASE: Duration = Duration::from_mins(1);
/// How many roots the worker of a check has at once, unless it says otherwise.
pub(crate) const SLOTS: usize = 64;

/// Compares the counters of a storage with what they count, and says where they differ.
type Recount = Box<dyn Fn() -> BoxFuture<'static, Vec<String>> + Send + Sync>;

/// A fresh storage for one check. Its steps panic when the storage fails where it should not.
pub struct Fixture {
    /// The storage under test.
    pub(crate) storage: Arc<dyn Storage>,
    /// The same data, as another process opens it.
    other: Option<Arc<dyn Storage>>,
    clock: Arc<TestClock>,
    /// Whether the storage reads the clock.
    is_on_clock: bool,
    /// Whether steps lock rows rather than everything.
    locks_rows: bool,
    recount: Option<Recount>,
    serial: AtomicU64,
    _kept: Box<dyn Any + Send + Sync>,
}

impl Fixture {
    /// A fixture around a fresh, migrated, empty storage.
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self::keeping(storage, ())
    }

    /// The same, with something that has to live as long, such as a temporary folder.
    pub fn keeping(storage: Arc<dyn Storage>, kept: impl Any + Send + Sync) -> Self {
        Self {
            storage,
            other: None,
            clock: Arc::new(TestClock::at(BEGIN)),
            is_on_clock: false,
            locks_rows: false,
            recount: None,
            serial: AtomicU64::new(0),
            _kept: Box::new(kept),
        }
    }

    /// The same, with the clock that the storage takes for its machine's, so that checks can turn that too.
    #[must_use]
    pub fn on_clock(self, clock: Arc<TestClock>) -> Self {
        Self { clock, is_on_clock: true, ..self }
    }

    /// The same, with what another process would open on the same data: of several clients at once every other one
    /// asks that.
    #[must_use]
    pub fn beside(self, other: Arc<dyn Storage>) -> Self {
        Self { other: Some(other), ..self }
    }

    /// The same, of a storage that locks rows and not everything. Beside other steps its leases may leave out roots that
    /// one of those holds, or take them in another order, and a new root may go to a node that is not the least loaded
    /// one. What the answer to a new request tells of that node may be what was so when its step began.
    #[must_use]
    pub fn locking_rows(self) -> Self {
        Self { locks_rows: true, ..self }
    }

    /// The same, with what compares the storage's counters with what they count; each difference in words.
    #[must_use]
    pub fn recounted_by(self, recount: impl Fn() -> BoxFuture<'static, Vec<String>> + Send + Sync + 'static) -> Self {
        Self { recount: Some(Box::new(recount)), ..self }
    }

    /// Hold the storage's counters against what they count, if it has any.
    pub async fn assert_counters(&self) {
        self.recount().await.expect("the counters are right");
    }

    pub(crate) async fn recount(&self) -> Result<(), String> {
        let Some(recount) = &self.recount else { return Ok(()) };
        let differences = recount().await;
        if differences.is_empty() { Ok(()) } else { Err(format!("counters differ: {differences:#?}")) }
    }

    pub(crate) const fn clock(&self) -> &Arc<TestClock> {
        &self.clock
    }

    pub(crate) const fn is_on_clock(&self) -> bool {
        self.is_on_clock
    }

    /// The storage that the client with this place asks.
    pub(crate) fn storage_of(&self, client: usize) -> &Arc<dyn Storage> {
        self.other.as_ref().filter(|_| client % 2 == 1).unwrap_or(&self.storage)
    }

    pub(crate) const fn locks_rows(&self) -> bool {
        self.locks_rows
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn advance(&self, by: Duration) -> Timestamp {
        self.clock.advance(by)
    }

    /// Advance to a millisecond before `by` is over.
    pub(crate) fn advance_almost(&self, by: Duration) -> Timestamp {
        self.advance(by.saturating_sub(Duration::from_millis(1)))
    }

    pub(crate) fn advance_secs(&self, seconds: u64) -> Timestamp {
        self.advance(Duration::from_secs(seconds))
    }

    /// Ten bytes that no other call gives.
    pub(crate) fn unique(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.serial.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        bytes
    }

    /// An account without limits.
    pub(crate) async fn account(&self, name: &str) -> AccountId {
        self.account_with(name, Limits::UNLIMITED).await
    }

    pub(crate) async fn account_with(&self, name: &str, limits: Limits) -> AccountId {
        let account = self.new_account(name, limits);
        self.storage.add_account(&account, self.now()).await.expect("the account is added").id
    }

    pub(crate) fn new_account(&self, name: &str, limits: Limits) -> NewAccount {
        let id = AccountId::new(self.now(), self.unique());
        NewAccount { id, name: name.to_owned(), email: None, role: Role::Pinner, limits }
    }

    pub(crate) async fn find_account(&self, account: &AccountId) -> Account {
        self.storage.find_account(account).await.expect("accounts are found").expect("the account is there")
    }

    pub(crate) async fn usage(&self, account: &AccountId) -> Usage {
        self.find_account(account).await.usage
    }

    pub(crate) async fn set_limits(&self, account: &AccountId, limits: Limits) {
        self.storage.set_access(account, None, Some(&limits), self.now()).await.expect("the limits are set");
    }

    pub(crate) async fn block(&self, account: &AccountId, reason: Option<&str>) {
        self.storage.set_blocked(account, reason, self.now()).await.expect("the account is blocked or unblocked");
    }

    /// Register the node with this number; a greater number is a greater id, and another address.
    pub(crate) async fn node(&self, number: u8) -> NodeId {
        let node = registration(number);
        self.storage.register_node(&node, self.now()).await.expect("the node is registered");
        node.id
    }

    pub(crate) async fn beat(&self, node: &NodeId) {
        self.storage.beat(node, self.now()).await.expect("the node is heard");
    }

    pub(crate) fn new_request(&self, account: &AccountId, pin: Pin) -> NewPinRequest {
        let id = RequestId::new(self.now(), self.unique());
        NewPinRequest { id, account: *account, token: TokenId::from_uuid(Uuid::from_u128(1)), pin }
    }

    pub(crate) async fn try_add(&self, account: &AccountId, pin: Pin) -> Result<PinRequest, StorageError> {
        self.storage.add_pin_request(&self.new_request(account, pin), self.now()).await
    }

    pub(crate) async fn add_pin(&self, account: &AccountId, pin: Pin) -> PinRequest {
        self.try_add(account, pin).await.expect("the pin is accepted")
    }

    /// Add the pin of the CID number `number`.
    pub(crate) async fn add(&self, account: &AccountId, number: u64) -> PinRequest {
        self.add_pin(account, pin(number)).await
    }

    pub(crate) async fn try_replace(
        &self,
        account: &AccountId,
        old: &RequestId,
        pin: Pin,
    ) -> Result<Option<PinRequest>, StorageError> {
        self.storage.replace_pin_request(old, &self.new_request(account, pin), self.now()).await
    }

    pub(crate) async fn replace(&self, account: &AccountId, old: &RequestId, pin: Pin) -> PinRequest {
        self.try_replace(account, old, pin).await.expect("the pin is accepted").expect("the old request is there")
    }

    pub(crate) async fn remove(&self, account: &AccountId, id: &RequestId) -> bool {
        self.storage.remove_pin_request(account, id, self.now()).await.expect("requests are removed")
    }

    pub(crate) async fn try_find(&self, account: &AccountId, id: &RequestId) -> Option<PinRequest> {
        self.storage.find_pin_request(account, id, self.now()).await.expect("requests are found")
    }

    pub(crate) async fn find(&self, account: &AccountId, id: &RequestId) -> PinRequest {
        self.try_find(account, id).await.expect("the request is there")
    }

    pub(crate) async fn list(&self, account: &AccountId, filter: &PinFilter) -> PinPage {
        self.storage.list_pin_requests(account, filter, self.now()).await.expect("requests are listed")
    }

    /// The names of what a filter finds, the newest first, its count checked.
    pub(crate) async fn names(&self, account: &AccountId, filter: &PinFilter) -> Vec<String> {
        let page = self.list(account, filter).await;
        assert_eq!(page.count, page.requests.len() as u64, "the count is that of the whole list");
        page.requests.into_iter().map(|request| request.pin.name.unwrap_or_default()).collect()
    }

    /// How many of the account's requests stand so, by their copies.
    pub(crate) async fn count(&self, account: &AccountId, status: Status) -> u64 {
        let filter = PinFilter { statuses: vec![status], limit: 1, ..crate::samples::everything() };
        self.list(account, &filter).await.count
    }

    /// Take due roots, up to `limit` to pin.
    pub(crate) async fn lease(&self, node: &NodeId, limit: usize) -> Vec<Lease> {
        self.lease_of(node, limit, SLOTS).await
    }

    pub(crate) async fn lease_of(&self, node: &NodeId, limit: usize, slots: usize) -> Vec<Lease> {
        let now = self.now();
        self.storage.lease_due(node, now, now + LEASE, limit, slots).await.expect("roots are leased")
    }

    /// Take the one root that is due.
    pub(crate) async fn lease_one(&self, node: &NodeId) -> Lease {
        let mut leases = self.lease(node, SLOTS).await;
        assert_eq!(leases.len(), 1, "one root is due: {leases:?}");
        leases.remove(0)
    }

    pub(crate) async fn assert_nothing_due(&self, node: &NodeId) {
        assert_eq!(self.lease(node, SLOTS).await, [], "nothing is due");
    }

    pub(crate) async fn try_settle(&self, lease: &Lease, verdict: Verdict) -> Result<(), StorageError> {
        let settlement = Settlement { lease: lease.key.clone(), verdict };
        let mut outcomes = self.storage.settle(&[settlement], self.now()).await.expect("leases are settled");
        assert_eq!(outcomes.len(), 1, "one answer for one settlement");
        outcomes.remove(0)
    }

    pub(crate) async fn settle(&self, lease: &Lease, verdict: Verdict) {
        self.try_settle(lease, verdict).await.expect("the lease is held");
    }

    pub(crate) async fn news(&self, lease: &Lease) -> LeaseNews {
        let mut news = self.storage.read_leases(std::slice::from_ref(&lease.key)).await.expect("leases are read");
        assert_eq!(news.len(), 1, "one answer for one lease");
        news.remove(0)
    }

    pub(crate) async fn renew(&self, lease: &Lease) -> bool {
        let until = self.now() + LEASE;
        let standing = self.storage.renew(std::slice::from_ref(&lease.key), until).await.expect("leases are renewed");
        assert_eq!(standing.len(), 1, "one answer for one lease");
        standing[0]
    }

    pub(crate) async fn report(&self, lease: &Lease, bytes: u64) {
        let report = ProgressReport { lease: lease.key.clone(), progress: Progress { blocks: 1, bytes } };
        self.storage.report_progress(&[report]).await.expect("progress is noted");
    }

    /// Take the one root that is due, and have it pinned with `bytes`.
    pub(crate) async fn pin_one(&self, node: &NodeId, bytes: u64) {
        let lease = self.lease_one(node).await;
        assert!(matches!(lease.task, LeaseTask::Pin { .. }), "it is to be pinned: {lease:?}");
        self.settle(&lease, pinned(bytes)).await;
    }

    /// Add the pin of the CID number `number` and have it pinned with `bytes`; nothing else may be due.
    pub(crate) async fn add_pinned(&self, account: &AccountId, node: &NodeId, number: u64, bytes: u64) -> PinRequest {
        let request = self.add(account, number).await;
        self.pin_one(node, bytes).await;
        self.find(account, &request.id).await
    }

    /// Take the releases that are due, the CIDs numbered so and no others, and have them released.
    pub(crate) async fn assert_released(&self, node: &NodeId, numbers: &[u64]) {
        let leases = self.lease(node, 0).await;
        let mut roots = leases.iter().map(|lease| lease.key.root.clone()).collect::<Vec<_>>();
        roots.sort();
        let wanted = numbers.iter().map(|number| crate::samples::cid(*number).root()).collect::<Vec<_>>();
        assert_eq!(roots, wanted, "what is to be released");
        for lease in leases {
            assert_eq!(lease.task, LeaseTask::Release);
            self.settle(&lease, Verdict::Released).await;
        }
    }

    /// Carry all states to all requests.
    pub(crate) async fn copy_all_statuses(&self) {
        while self.storage.copy_statuses().await.expect("statuses are copied") {}
    }
}
