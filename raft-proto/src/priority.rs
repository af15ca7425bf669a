//! Election priority: nodes of lower priority wait longer before they campaign, and hand
//! leadership to a healthy node of higher priority. A preference only: any voter may lead.

use crate::action::Action;
use crate::raft::Raft;
use crate::role::{Role, TargetChoice};
use alloc::vec::Vec;
use core::time::Duration;

/// By how many spans of the election timeout the lowest priorities wait longer, at most.
const MOST_STEPS: u32 = 3;

impl Raft {
    /// A new election timeout (section 5.2). It is longer by a whole span for each greater priority
    /// among the voters, so that those campaign first.
    pub(crate) fn draw_timeout(&mut self) -> Duration {
        let drawn = self.timeouts.draw(&self.config);
        let span = self.config.election_timeout_max - self.config.election_timeout_min;
        drawn + span * self.greater_priorities()
    }

    /// The timeout of a candidate, whatever its priority: voters of greater priority have had their
    /// turn. If it waited longer than they do again and again, they would disturb it for ever,
    /// although its log may be the only one that a majority votes for.
    pub(crate) fn draw_candidate_timeout(&mut self) -> Duration {
        self.timeouts.draw(&self.config)
    }

    /// The next reset of a follower's election timer uses a new timeout.
    pub(crate) fn redraw_timeout(&mut self) {
        let timeout = self.draw_timeout();
        if let Role::Follower(follower) = &mut self.role {
            follower.set_election_timeout(timeout);
        }
    }

    /// There is a leader again: the next election timeout follows the priorities again.
    pub(crate) fn follow_priorities(&mut self) {
        if self.greater_priorities() > 0 {
            self.redraw_timeout();
        }
    }

    /// How many different priorities of voters are greater than this node's.
    fn greater_priorities(&self) -> u32 {
        let membership = self.configurations.membership();
        let mut priority = self.own_priority();
        let mut steps = 0;
        while steps < MOST_STEPS {
            let Some(next) = membership.next_priority(priority) else {
                break;
            };
            priority = next;
            steps += 1;
        }
        steps
    }

    fn own_priority(&self) -> u8 {
        let own = self.configurations.membership().get(self.config.node_id);
        own.map_or(0, |member| member.priority)
    }

    /// Hands leadership to a healthy, caught-up voter of greater priority, if there is one that was
    /// not tried recently (`handover.rs`).
    pub(crate) fn hand_over_by_priority(&mut self, actions: &mut Vec<Action>) {
        let membership = self.configurations.membership();
        let own = self.own_priority();
        let (commit_index, now) = (self.commit_index.get(), self.now);
        let Role::Leader(leader) = &self.role else {
            return;
        };
        if membership.next_priority(own).is_none()
            || leader.handover.is_some()
            || commit_index < leader.term_start
        {
            return;
        }
        let preferred = self.successors().filter(|(member, peer)| {
            member.priority > own
                && peer.match_index >= commit_index
                && !self.handover_attempts.is_backed_off(peer.id, now)
        });
        let target = preferred
            .max_by_key(|(member, peer)| (member.priority, peer.match_index))
            .map(|(_, peer)| peer.id);
        if let Some(target) = target {
            self.begin_handover(None, target, TargetChoice::Given, actions);
        }
    }
}
