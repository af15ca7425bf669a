//! A leader that is heard and hears nobody, where CheckQuorum is off.
//!
//! With CheckQuorum such a leader steps down (thesis 6.2). Without it, its heartbeats keep every
//! election timer from elapsing, and nothing is committed for ever. So a follower watches whether
//! its leader commits. Entries that have waited for two election timeouts are a reason to ask, and
//! no more than that: a leader whose majority is down, or receives a snapshot, commits nothing
//! either, and nobody could do better.
//!
//! So the follower asks all voters for pre-votes (thesis 9.6), and its leader, and follows it
//! meanwhile. The leader may be no voter: it leads on until the change that removes or demotes it
//! is committed (thesis 4.2.2). The follower asks again after an election timeout. It campaigns if,
//! an election timeout later, a majority would vote for it and the leader has not answered. An
//! answer, whatever it says, shows that the leader hears this node.
//!
//! The entries need not be in the log of every follower: a leader sends few to one that it does
//! not hear. A follower whose leader asks it for an entry that it lacks, or which is asked by a
//! node with more entries than it knows to be committed, watches its leader in the same way. So
//! all followers come to ask of a leader that commits nothing, if a message has told any of them
//! of an entry that waits. A transport that cannot reach the leader counts as such a message.
//!
//! A leader that hears too few does not hear a majority of the voters, or, of an even number, half
//! of them. Those win without the followers that it hears, or ask one of them with a better log
//! again and again, which then begins a term itself (`Raft::give_up_leader`). So a leader follows
//! that a majority answers.
//!
//! What this does not disturb: a cluster in which nothing waits, since nobody asks. A leader that
//! hears this node: it answers. A leader without a majority: nobody has the pre-votes of one. The
//! terms stay as they are in all three cases. Two answers that are lost in a row may cost one
//! leader that commits nothing.
//!
//! No safety rests on any of this: a term may begin at any time (section 5.4.3), and a lease needs
//! CheckQuorum.

use crate::action::Action;
use crate::config::{CheckQuorum, PreVoting};
use crate::message::Campaign;
use crate::raft::Raft;
use crate::role::{Doubt, DoubtPreVotes, Role};
use crate::types::{Incarnation, Index, NodeId, Term, Time};
use alloc::vec;
use alloc::vec::Vec;

/// For how many election timeouts entries wait until a follower asks.
const TIMEOUTS_BEFORE_ASKING: u32 = 2;

/// How often it asks a leader that does not answer before it campaigns: a request, or its answer,
/// may be lost.
const TRIES: u32 = 2;

impl Raft {
    fn watches_leader(&self) -> bool {
        self.config.check_quorum == CheckQuorum::Off && self.config.pre_vote == PreVoting::On
    }

    /// Up to here entries are committed, by what this node knows or its leader says. The leader of a
    /// follower that it does not hear may commit without it, and never ask it for the same entries:
    /// then the follower's own commitIndex stays behind.
    fn known_commit(&self) -> Index {
        match &self.role {
            Role::Follower(follower) => self.commit_index().max(follower.leader_commit()),
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => self.commit_index(),
        }
    }

    /// When a follower has to look at its leader's commits again. It first looks when its timer
    /// runs, which a leader's messages only put off: within an election timeout.
    pub(crate) fn doubt_deadline(&self) -> Time {
        let Role::Follower(follower) = &self.role else {
            return Time::NEVER;
        };
        match &follower.doubt {
            None => Time::NEVER,
            Some(Doubt {
                pre_votes: Some(pre_votes),
                ..
            }) => pre_votes.count_at,
            Some(doubt) => self.asks_at(doubt),
        }
    }

    /// Another node has a log up to `last`: one that asks for a pre-vote, or the leader. If that is
    /// more than is committed, entries wait.
    pub(crate) fn note_entries_of_others(&mut self, last: Index) {
        let (now, commit_index) = (self.now, self.known_commit());
        let watches = self.watches_leader();
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        if !watches || follower.leader().is_none() || last <= commit_index {
            return;
        }
        let known = follower.doubt.take();
        let known = known.filter(|doubt| doubt.after == commit_index);
        let mut doubt = known.unwrap_or(Doubt::new(commit_index, now));
        doubt.seen = doubt.seen.max(last);
        follower.doubt = Some(doubt);
    }

    /// The transport cannot reach this follower's leader. If the leader hears nobody, entries may wait
    /// there of which no message tells: it asks its followers only where their logs agree.
    pub(crate) fn doubt_unreachable_leader(&mut self) {
        self.note_entries_of_others(Index::MAX);
    }

    /// Looks whether this follower's leader commits anything, and acts if it does not.
    pub(crate) fn doubt_leader(&mut self, actions: &mut Vec<Action>) {
        let commit_index = self.known_commit();
        let last = self.log.last().index;
        let may_doubt = self.watches_leader()
            && self.leader().is_some()
            && self.hard_state.term() < Term::MAX
            && self.may_campaign();
        let now = self.now;
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        let known = follower.doubt.take();
        let known = known.filter(|doubt| doubt.after == commit_index);
        let doubt = known.unwrap_or(Doubt::new(commit_index, now));
        if !may_doubt || last.max(doubt.seen) <= commit_index {
            return;
        }
        let wins = match &doubt.pre_votes {
            Some(pre_votes) if pre_votes.count_at > now => None,
            Some(pre_votes) if pre_votes.tries < TRIES => Some(false),
            Some(pre_votes) => Some(self.elects(|id| pre_votes.granted.contains(&id))),
            None if self.asks_at(&doubt) > now => None,
            None => Some(false),
        };
        if let Role::Follower(follower) = &mut self.role {
            follower.doubt = Some(doubt);
        }
        match wins {
            Some(true) => self.campaign(Campaign::Election, actions),
            Some(false) => self.ask_about_leader(actions),
            None => {}
        }
    }

    /// Asks the voters and the leader. It counts the voters' pre-votes after an election timeout,
    /// drawn, so that one of several such followers is first.
    fn ask_about_leader(&mut self, actions: &mut Vec<Action>) {
        let count_at = self.now.after(self.draw_candidate_timeout());
        let own = self.config.node_id;
        if let Role::Follower(follower) = &mut self.role
            && let Some(doubt) = &mut follower.doubt
        {
            let pre_votes = doubt.pre_votes.get_or_insert_with(|| DoubtPreVotes {
                granted: vec![own],
                tries: 0,
                count_at,
            });
            pre_votes.tries = pre_votes.tries.saturating_add(1);
            pre_votes.count_at = count_at;
        }
        self.send_pre_votes(Campaign::Election, actions);
        let membership = self.configurations.membership();
        let outgoing = self.leader().filter(|leader| !membership.is_voter(*leader));
        if let (Some(to), Some(request)) = (outgoing, self.vote_retry.request()) {
            let message = request.clone();
            actions.push(Action::Send { to, message });
        }
    }

    /// `from` has answered a pre-vote of this node's term. If it is this node's leader, it hears
    /// this node, and gets as much time as before. Another disk under the leader's number is not the
    /// leader. One that a change removes is no member: a configuration before names its disk.
    pub(crate) fn trust_leader(&mut self, from: NodeId, incarnation: Option<Incarnation>) {
        let now = self.now;
        let since = self.configurations.since(self.commit_index.get());
        let members = since.filter_map(|membership| membership.get(from));
        let named = members.last().and_then(|member| member.incarnation);
        if named.is_some() && named != incarnation {
            return;
        }
        if let Role::Follower(follower) = &mut self.role
            && follower.leader() == Some(from)
            && let Some(doubt) = &mut follower.doubt
        {
            *doubt = Doubt::new(doubt.after, now);
        }
    }

    /// `asker` asks for a pre-vote, and could not win: this node has the better log. Without
    /// CheckQuorum a leader that hears too few leads on, and what it sends makes the logs of those
    /// that hear it longer. Those that ask could not win then, and those that could would wait for
    /// ever. So a follower that is asked again and again, and whose leader commits nothing meanwhile,
    /// for an election timeout, begins a term. It does so without a pre-vote: each append of that
    /// leader would make it a follower again (section 5.2), and another voter's log longer than the
    /// one that the pre-vote names. In a later term, what that leader sends is stale for all that
    /// hear of the term.
    ///
    /// A node without a leader, and one whose leader does not answer, ask at least once an election
    /// timeout. One whose leader answers waits for two ([`TIMEOUTS_BEFORE_ASKING`]) before it asks
    /// again: it is no reason to begin a term.
    ///
    /// A leader that only cannot reach a majority may be deposed too, once: there is no other
    /// leader before a majority votes, and without one all ask for pre-votes first. A leader that
    /// commits is not (thesis 9.6).
    pub(crate) fn give_up_leader(&mut self, asker: NodeId, actions: &mut Vec<Action>) {
        let follows = matches!(self.role, Role::Follower(_)) && self.leader().is_some();
        let may_campaign = self.hard_state.term() < Term::MAX && self.may_campaign();
        if follows && may_campaign && self.leader_commits_nothing(asker) {
            self.commit_wait.end();
            self.campaign(Campaign::Election, actions);
        }
    }

    /// Whether CheckQuorum is off, and entries have waited for their commit for an election timeout
    /// in which a node has asked for pre-votes again and again.
    fn leader_commits_nothing(&mut self, asker: NodeId) -> bool {
        let commit_index = self.known_commit();
        let has_uncommitted = self.log.last().index > commit_index;
        if self.config.check_quorum == CheckQuorum::On || !has_uncommitted {
            self.commit_wait.end();
            return false;
        }
        let timeout = self.config.election_timeout_max;
        // Half of one more for the way of the request.
        let pause = timeout + timeout / 2;
        let notice = self
            .commit_wait
            .notice(asker, commit_index, self.now, pause);
        notice.after(timeout) <= self.now
    }

    /// When the entries have waited for so long that the follower asks.
    fn asks_at(&self, doubt: &Doubt) -> Time {
        let wait = self.config.election_timeout_max * TIMEOUTS_BEFORE_ASKING;
        doubt.since.after(wait)
    }
}
