//! Elections and step-downs by hand: what an operator, or a test, asks of one node.
//!
//! *A campaign* is what an election timeout would begin (section 5.2), only earlier. "Timing never
//! affects the result" (section 5.6): a node may begin an election at any time, and the same
//! Pre-Vote, votes and writes follow. What does rest on timing is a lease (thesis 6.4.1): with
//! CheckQuorum, a leader counts on it that no voter votes within the least election timeout after
//! it was heard. *The node that campaigns is such a voter*: it votes for itself, and with the votes
//! of those that hear the leader no more, it would win. So a node does not campaign while it has
//! contact with a leader, nor just after its start, when it may have forgotten such contact. An
//! operator who wants another leader then asks the one that leads
//! ([`TransferLeadership`](crate::Input::TransferLeadership)).
//!
//! *A leader that steps down* does what it does when it loses contact with a majority (thesis 6.2):
//! it is a follower of its own term, keeps its vote in it, and serves nothing any more. Only the
//! leader itself serves reads under its lease, so that the lease ends with its leadership. The
//! other voters still keep to the leader that they heard: the next election takes an election
//! timeout. An entry that it has appended may be committed all the same, by the next leader.

use crate::action::Action;
use crate::config::CheckQuorum;
use crate::error::{CampaignError, StepDownError};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{RequestId, Term};
use alloc::vec::Vec;

impl Raft {
    /// The driver asks this node to begin an election.
    #[cold]
    pub(crate) fn campaign_by_hand(&mut self, id: RequestId, actions: &mut Vec<Action>) {
        let outcome = self.admit_campaign();
        actions.push(Action::Campaigning { id, outcome });
        if outcome.is_ok() {
            self.start_election(actions);
        }
    }

    /// The term to campaign in.
    fn admit_campaign(&self) -> Result<Term, CampaignError> {
        if matches!(self.role, Role::Leader(_)) {
            return Err(CampaignError::IsLeader);
        }
        if self.is_impaired() {
            return Err(CampaignError::Impaired);
        }
        if !self.may_campaign() {
            return Err(CampaignError::NotVoter);
        }
        if self.config.check_quorum == CheckQuorum::On {
            if self.may_not_vote_yet() {
                return Err(CampaignError::JustStarted);
            }
            if self.has_leader_contact() || self.has_promised() {
                let leader = self.leader();
                return Err(CampaignError::HearsLeader { leader });
            }
        }
        if self.election_is_under_way() {
            return Err(CampaignError::UnderWay);
        }
        let term = self.hard_state.term();
        if term >= Term::MAX {
            return Err(CampaignError::NoTermLeft);
        }
        Ok(term.next())
    }

    /// The driver asks this leader to give up its leadership.
    #[cold]
    pub(crate) fn step_down(&mut self, id: RequestId, actions: &mut Vec<Action>) {
        let leads = matches!(self.role, Role::Leader(_));
        let outcome = if leads {
            Ok(self.hard_state.term())
        } else {
            let leader = self.leader();
            Err(StepDownError::NotLeader { leader })
        };
        actions.push(Action::SteppedDown { id, outcome });
        if leads {
            self.become_follower(None, actions);
        }
    }
}
