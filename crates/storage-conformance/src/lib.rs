//! The checks every storage passes, and the in-memory reference.
//!
//! An adapter runs all of them with one line in a test file of its own, see [`check_storage`]. What the checks ask
//! for is written in the documentation of the traits in `pinrail-storage`.

pub mod checks;
mod dice;
mod fixture;
mod memory;
mod samples;

pub use fixture::Fixture;
pub use memory::{MemoryStorage, TestClock};

/// Make a test of each check.
///
/// The argument is the path (from the crate's root) of an `async fn() -> Fixture` that makes a fresh, migrated, empty
/// storage. The crate that uses this needs tokio with its features `macros` and `rt-multi-thread`.
///
/// A second path makes the storage of the random histories instead. The clocks of their clients disagree and are put
/// back, so a storage that goes by its database's clock goes by its callers' for them.
///
/// ```text
/// pinrail_storage_conformance::check_storage!(crate::fresh_database);
/// ```
#[macro_export]
macro_rules! check_storage {
    ($fresh:path) => {
        $crate::check_storage!($fresh, $fresh);
    };
    ($fresh:path, $fresh_for_histories:path) => {
        $crate::check_storage! { @tests $fresh, $fresh_for_histories;
            accounts: [
                an_account_is_found_by_id_and_by_name,
                a_name_is_taken_once,
                accounts_are_listed_by_name,
                access_is_granted_and_withdrawn,
                a_block_has_a_reason,
                the_service_is_one,
            ];
            audit: [
                what_an_operator_does_is_noted,
                the_audit_log_is_filtered,
            ];
            tokens: [
                a_record_comes_back_whole,
                a_token_has_an_account,
                tokens_are_listed_newest_first,
                a_token_is_revoked_once,
                each_token_stands_for_itself,
                a_revocation_holds_at_once_for_all,
                a_block_is_revoked_alone,
                standing_follows_the_account_at_once,
                a_revoked_key_revokes_its_tokens,
                the_last_use_is_the_latest,
                one_key_is_active,
            ];
            nodes: [
                a_node_is_registered_and_heard,
                without_a_node_nothing_is_accepted,
                a_new_root_goes_to_the_least_loaded_node,
                delegates_are_at_most_four,
                a_silent_node_gets_no_new_roots,
                unfinished_roots_leave_a_silent_node,
                a_new_request_moves_a_root_from_a_silent_node,
                pinned_roots_of_a_silent_node_say_so,
                an_unpin_reaches_every_copy,
                a_restart_ends_leases,
                a_retired_node_gives_everything_up,
                copies_on_retired_nodes_need_no_release,
                what_is_unwanted_on_a_retired_node_is_released,
            ];
            adding: [
                a_request_comes_back_whole,
                created_is_unique_and_rises,
                the_same_cid_twice_is_two_requests,
                versions_of_a_cid_are_one_root,
                a_pinned_root_is_pinned_for_all,
                a_running_root_is_pinning_for_all,
                a_whole_cid_is_pinned_at_once,
                a_failed_root_starts_afresh_for_all,
                a_root_that_is_released_is_wanted_again,
                a_further_request_hurries_a_root,
                an_id_is_taken_once,
                an_unknown_account_has_nothing,
                foreign_ids_are_unknown,
            ];
            listing: [
                statuses_filter,
                the_newest_come_first,
                cids_match_by_codec_and_multihash,
                names_match_in_four_ways,
                all_pairs_of_meta_match,
                what_is_gone_matches_nothing,
                filters_combine,
            ];
            paging: [
                a_page_ends_where_its_texts_are_long,
                bounds_are_exclusive,
                a_limit_cuts_the_page_alone,
                a_walk_sees_each_once,
                a_follower_misses_nothing,
                counts_equal_a_recount,
                copies_follow_in_steps,
            ];
            removing: [
                a_request_is_removed_once,
                of_two_at_once_one_succeeds,
                the_last_request_releases_the_root,
                another_account_keeps_the_root,
                removing_cancels_the_fetch,
                wanted_again_is_a_new_lease,
                an_epoch_outlives_its_row,
                a_release_is_tried_again,
            ];
            replacing: [
                a_replace_is_whole,
                what_is_gone_is_not_replaced,
                the_old_root_is_held_until_the_new_is_there,
                a_chain_drops_nothing_before_its_end,
                deleting_the_new_request_ends_its_holds,
                a_hold_belongs_to_its_request,
                a_hold_ends_a_day_after_a_failure,
                a_replace_after_a_failure_inherits,
                a_held_root_is_fetched_no_more,
                a_held_root_can_be_wanted_again,
                a_replace_by_what_is_there_holds_nothing,
                the_same_cid_is_replaced_without_unpin,
                back_to_the_first_keeps_it,
                the_new_root_goes_to_the_old_ones_node,
                a_replace_leaves_others_alone,
            ];
            quota: [
                requests_are_limited,
                queued_roots_are_limited,
                bytes_count_each_root_once,
                bytes_are_limited,
                tiny_blocks_count_for_what_they_take_up,
                what_requests_carry_counts,
                holds_count_in_bytes,
                a_fetch_stops_when_nobody_has_room,
                requests_for_one_root_are_limited,
                a_refused_request_leaves_nothing,
                limits_hold_against_many_at_once,
            ];
            leases: [
                a_lease_says_what_is_to_be_done,
                an_expired_lease_is_taken_by_another,
                a_lease_is_renewed_while_nobody_took_it,
                many_leases_are_answered_in_order,
                a_lease_is_settled_once,
                pinned_is_whole,
                a_retry_stays_pinning,
                a_pause_spends_no_attempt,
                origins_are_taken_in_turns,
                no_number_of_requests_displaces_the_origins_of_others,
                progress_is_read_at_once,
                as_many_as_asked_each_once,
                releases_do_not_wait_for_fetches,
            ];
            waiting: [
                a_waiting_root_spends_no_attempt,
                a_request_during_an_attempt_is_not_kept_waiting,
                a_woken_root_is_due_at_once,
                waiting_roots_hold_no_slot,
                waiting_roots_are_listed_in_order,
            ];
            fairness: [
                a_thousand_roots_do_not_delay_one,
                nobody_gets_the_last_quarter,
                the_fewest_running_then_the_longest_not_served,
                one_slot_goes_round,
                fresh_roots_go_before_retries,
                what_found_no_source_goes_behind_new_roots,
                a_shared_root_counts_for_one,
                blocked_accounts_are_passed_over,
                a_block_ends_running_fetches,
                a_second_block_ends_nothing,
                a_block_moves_no_due,
                unblocking_makes_roots_due,
                places_are_counted_by_account,
            ];
            statistics: [
                requests_and_roots_are_counted,
                the_longest_due_root_is_told,
            ];
            concurrency: [
                eight_tasks_on_one_root,
            ];
        }
    };
    (@tests $fresh:path, $fresh_for_histories:path; $($module:ident: [$($check:ident,)*];)*) => {
        $(
            mod $module {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $check() {
                        let fixture = $fresh().await;
                        $crate::checks::$module::$check(&fixture).await;
                        fixture.assert_counters().await;
                    }
                )*
            }
        )*
        mod model {
            #[test]
            fn every_answer_is_the_references() {
                $crate::checks::model::every_answer_is_the_references(async || $fresh_for_histories().await);
            }

            #[test]
            fn clients_at_once_are_one_after_another() {
                $crate::checks::model::clients_at_once_are_one_after_another(async || $fresh_for_histories().await);
            }
        }
    };
}
