//! Election priority: nodes of lower priority wait longer before they campaign, and hand the
//! lead to a healthy one of higher priority. A preference only: any voter may lead.

use crate::action::Action;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::Time;
use alloc::vec::Vec;
use core::time::Duration;

/// How many spans of the election timeout the lowest priorities wait at most.
const MOST_STEPS: u32 = 3;

impl Raft {
    /// A new election timeout (section 5.2), longer by a whole span for each greater priority
    /// among the voters, so that those campaign first.
    pub(crate) fn draw_timeout(&mut self) -> Duration {
        let drawn = self.timeouts.draw(&self.config);
        let span = self.config.election_timeout_max - self.config.election_timeout_min;
        drawn + span * self.greater_priorities()
    }

    /// The timeout of a candidate, which has let those of greater priority go first: if it waited
    /// longer than they do once more, and then again, they would disturb it for ever although its
    /// log may be the only one that a majority votes for.
    pub(crate) fn draw_candidates_timeout(&mut self) -> Duration {
        self.timeouts.draw(&self.config)
    }

    /// There is a leader again, and with it the order of priorities.
    pub(crate) fn respect_priorities(&mut self) {
        if self.greater_priorities() == 0 {
            return;
        }
        let timeout = self.draw_timeout();
        if let Role::Follower(follower) = &mut self.role {
            follower.be_patient_for(timeout);
        }
    }

    /// How many different priorities of voters are greater than this node's.
    fn greater_priorities(&self) -> u32 {
        let membership = self.configurations.membership();
        let own = membership.get(self.config.node_id);
        let mut reached = own.map_or(0, |member| member.priority);
        let mut steps = 0;
        while steps < MOST_STEPS {
            let Some(next) = membership.next_priority(reached) else {
                break;
            };
            reached = next;
            steps += 1;
        }
        steps
    }

    /// Hands the lead to a healthy, caught-up voter of greater priority, if there is one; tried
    /// again only after a while, should it not take it.
    pub(crate) fn favour_priority(&mut self, actions: &mut Vec<Action>) {
        let membership = self.configurations.membership();
        let own = membership.get(self.config.node_id);
        let own = own.map_or(0, |member| member.priority);
        let (commit_index, now) = (self.commit_index, self.now);
        let Role::Leader(leader) = &self.role else {
            return;
        };
        if membership.next_priority(own).is_none()
            || leader.handover.is_some()
            || leader.favour_at > now
            || commit_index < leader.term_start
        {
            return;
        }
        let Some(target) = self.best_successor() else {
            return;
        };
        let greater = membership
            .get(target)
            .is_some_and(|member| member.priority > own);
        let peer = leader.peers.iter().find(|peer| peer.id == target);
        let caught_up = peer.is_some_and(|peer| peer.match_index >= commit_index);
        if greater && caught_up {
            let again_at: Time = now.after(10 * self.config.election_timeout_max);
            if let Some(leader) = self.leader_mut() {
                leader.favour_at = again_at;
            }
            self.begin_handover(None, target, actions);
        }
    }
}
