//! The checks every IPFS backend passes.
//!
//! An adapter runs all of them with one line in a test file of its own, see [`check_backend`]. What the checks ask for
//! is written in the documentation of `pinrail_ipfs::IpfsBackend`.

pub mod checks;
mod dag;
mod fixture;

pub use dag::{Block, Dag};
pub use fixture::{Fixture, Provider};

/// Make a test of each check.
///
/// The argument is the path (from the crate's root) of an `async fn() -> Fixture` that makes a backend that holds
/// nothing, and a peer beside it. The crate that uses this needs tokio with its features `macros` and
/// `rt-multi-thread`.
///
/// ```text
/// pinrail_ipfs_conformance::check_backend!(crate::fresh_node);
/// ```
#[macro_export]
macro_rules! check_backend {
    ($fresh:path) => {
        $crate::check_backend! { @tests $fresh;
            a_dag_is_pinned_whole,
            a_root_that_holds_its_content_is_a_block,
            pinning_again_needs_no_peer,
            an_unpinned_dag_is_not_held,
            what_others_share_stays,
            an_older_epoch_is_refused,
            what_nobody_has_is_not_provided_until_somebody_turns_up,
            what_is_forgotten_is_not_looked_for,
            origins_may_come_later,
            a_dag_over_the_limit_is_unpinnable,
            a_malformed_block_is_unpinnable,
            an_unsupported_hash_is_named,
            leaves_of_plain_codecs_are_kept,
            a_block_of_another_codec_is_named,
            a_dropped_pin_can_be_repeated,
            a_car_is_imported,
            a_damaged_car_is_refused,
            delegates_name_the_peer,
            it_is_ready,
        }
    };
    (@tests $fresh:path; $($check:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $check() {
                let fixture = $fresh().await;
                $crate::checks::$check(&*fixture.backend, &*fixture.provider).await;
            }
        )*
    };
}
