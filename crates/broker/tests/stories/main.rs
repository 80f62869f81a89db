//! Stories of the routing core: whole brokers of one, two and three shards in memory, clients that speak encoded
//! packets, and a clock that only the story moves.
#![allow(clippy::unwrap_used, reason = "a story whose assumption fails has failed")]

mod devices_without_a_clock;
mod disk;
mod peer;
mod world;

mod acknowledgements_wait_for_the_disk;
mod clauses_of_the_standard;
mod every_format_is_read;
mod links_are_taken_over_in_order;
mod long_work_goes_in_slices;
mod memory_is_bounded;
mod messages_arrive_as_their_qos_promises;
mod nobody_gets_what_is_not_theirs;
mod one_identity_takes_no_more_than_its_share;
mod permissions_hold_at_every_moment;
mod quarantine_leaves_recovery_alone;
mod queues_have_bounds;
mod random_histories_break_no_promise;
mod remembered_routes_grant_nothing;
mod retained_messages_are_replayed_once;
mod revocation_ends_everything;
mod rolling_secrets_are_the_links_own;
mod rules_follow_the_client_id;
mod sessions_live_as_long_as_asked;
mod shared_groups_lose_no_message;
mod shared_groups_pass_over_who_may_not_read;
mod shared_groups_share_fairly;
mod signed_messages_count_once;
mod stored_messages_are_read_before_their_turn;
mod subscriptions_follow_their_options;
mod the_broker_speaks_of_itself;
mod topics_in_use_get_aliases;
mod what_a_lost_store_knew_is_not_taken_again;
mod what_devices_say_is_told_to_the_watch;
mod what_is_on_disk_is_inspected;
mod what_is_to_be_stored_needs_room;
mod what_other_brokers_got_wrong;
mod what_waits_to_be_verified_is_bounded;
mod what_was_acknowledged_survives;
mod who_runs_into_a_bound_is_named;
mod wills_speak_for_the_lost;
