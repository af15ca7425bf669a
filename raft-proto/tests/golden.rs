//! Golden traces: each script in `tests/scripts` leads a cluster through one behaviour, and holds
//! the trace of everything that every node did. A trace that changes is read line by line and
//! judged against the paper. Then
//!
//! ```text
//! UPDATE_GOLDENFILES=1 cargo test -p raft-proto --test golden
//! ```
//!
//! writes the new traces, and `git diff` shows what changed.
//!
//! The commands (nodes are numbers, times are written like `100ms`):
//!
//! | command | what happens |
//! |---|---|
//! | `cluster nodes=3 ...` | a new cluster begins, with the options below |
//! | `disk N slow` | from now on the writes of `N` wait for `sync`; or `instant` |
//! | `campaign N` | the election timeout of `N` elapses, on its clock alone, until it campaigns |
//! | `start_election N` | likewise, until it requests pre-votes or votes |
//! | `wait 100ms [node=N]` | time passes, for all nodes or one, and due timers fire |
//! | `tick N` | `N` takes a tick |
//! | `deliver [from=N] [to=N] [nth=K]` | the messages that wait now arrive, or only the `K`th |
//! | `settle [from=N] [to=N]` | they arrive, and those that follow, until no message is left |
//! | `drop [from=N] [to=N] [nth=K]` | they are lost |
//! | `duplicate [from=N] [to=N]` | they arrive, and a copy of each waits again |
//! | `propose N a b c` | a client proposes these commands together |
//! | `read N [lease]` | a client asks for a read at `N` |
//! | `transfer N [to=M]` | an operator asks `N` to transfer its leadership |
//! | `change N ...` | an operator asks for a change of the membership, with the options below |
//! | `sync N [count=K]` | the oldest writes of `N` become durable, by default all |
//! | `fail N seq=K` | a write of `N` fails |
//! | `unreadable N` | from now on `N` cannot read the log on its disk |
//! | `crash N`, `restart N` | `N` loses its memory and its unsynced writes; it starts again |
//! | `compact N index=I` | the service of `N` has made a snapshot that ends at `I` |
//! | `forge KIND from=N to=N term=T ...` | a message arrives that no node has sent |
//! | `status N`, `log N`, `applied N` | prints the state of `N` |
//! | `members N` | prints the configuration in force at `N` |
//!
//! Options of `cluster`: `spare=N`, `priorities="1,2,3"`, `pre_vote=on`, `check_quorum=on`,
//! `lease=PPM`, `noop=on`, `disk=slow`, `resident=BYTES`, `window=N`, `append_bytes=N`, `chunk=N`,
//! `trailing=N`. Options of `change`: `voters="4,5"`, `learners=6`, `promote=6`, `demote=1`,
//! `remove=2`, `priority=P`, `forced`.
#![allow(clippy::wildcard_enum_match_arm)]
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "golden/cluster.rs"]
mod cluster;
#[path = "golden/commands.rs"]
mod commands;
#[path = "golden/report.rs"]
mod report;
mod support;

use cluster::ScriptedCluster;
use commands::Outcome;
use goldenscript::{Command, Context};
use std::path::PathBuf;

#[derive(Default)]
struct Runner {
    cluster: ScriptedCluster,
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Outcome<String> {
        let mut args = command.consume_args();
        let printed = commands::perform(&mut self.cluster, &command.name, &mut args)?;
        args.reject_next()?;
        Ok(self.cluster.take_lines() + &printed)
    }
}

fn script_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let path = script_dir().join(concat!(stringify!($name), ".txt"));
            goldenscript::run(&mut Runner::default(), path).unwrap();
        })*

        #[test]
        fn every_script_is_run() {
            let mut found: Vec<String> = std::fs::read_dir(script_dir())
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort();
            let mut run = vec![$(concat!(stringify!($name), ".txt")),*];
            run.sort_unstable();
            assert_eq!(found, run);
        }
    };
}

scripts! {
    a_candidate_with_a_majority_becomes_leader
    a_candidate_with_an_older_log_is_refused
    a_split_vote_is_resolved_in_the_next_term
    a_vote_is_kept_through_a_restart
    a_command_is_replicated_committed_and_applied
    a_leader_commits_without_its_own_disk
    a_new_leader_begins_with_a_noop
    a_cluster_of_one_is_its_own_majority
    appends_are_pipelined_until_the_window_is_full
    conflicts_are_skipped_a_term_at_a_time
    old_entries_are_not_committed_by_counting
    old_entries_are_committed_with_one_of_the_leaders_own
    unsynced_entries_are_lost_in_a_crash_and_sent_again
    a_slow_disk_does_not_look_like_a_dead_node
    a_lost_append_is_found_by_the_next_heartbeat
    an_overtaken_append_is_not_sent_twice
    a_failed_write_stops_the_node
    forged_messages_change_nothing
    a_snapshot_is_sent_in_chunks
    a_follower_that_restarts_receives_the_snapshot_from_the_beginning
    a_snapshot_keeps_the_tail_that_agrees
    compaction_leaves_a_tail_for_slow_followers
    a_change_waits_for_the_first_commit_of_the_term
    a_cluster_grows_and_shrinks
    a_follower_asks_the_leader_for_a_read_index
    leadership_is_transferred_to_a_voter_that_has_the_log
    a_leader_whose_transfer_fails_keeps_its_leadership
    a_leader_that_hears_no_majority_steps_down
    a_leader_that_removes_itself_transfers_its_leadership
    a_leader_whose_disk_stalls_transfers_its_leadership
    a_lease_ends_before_leadership_is_transferred
    a_lease_serves_reads_without_messages
    a_new_leader_finishes_a_joint_change
    a_node_requests_pre_votes_before_it_begins_a_term
    a_removed_node_can_still_be_elected
    a_refused_pre_vote_carries_the_higher_term
    a_single_change_needs_no_joint_configuration
    a_snapshot_carries_the_configuration_of_its_last_entry
    a_deleted_change_is_no_longer_in_force
    entries_not_in_memory_are_read_from_disk
    reads_are_confirmed_by_one_round
    leadership_goes_to_the_voter_of_the_greatest_priority
    voters_that_hear_a_leader_ignore_candidates
    invalid_membership_changes_are_refused
}
