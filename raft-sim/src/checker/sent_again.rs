//! Entries are sent once: a leader sends an entry to a follower again only because the follower has
//! said that it lacks it, or because the driver knows that it was lost (thesis 10.2.1).
//!
//! A leader that sends its window again for another reason, with each tick or with each answer,
//! breaks nothing, and on a network that is busy or cut makes everything slower. So the checker
//! counts the appends that begin with an entry which that follower was already sent in that term. A
//! probe may bring the end of the log before anything else: what it leaves out is sent once, too.
//! The count begins anew with each cause: a rejection, an answer to a snapshot, a snapshot that is
//! sent, `Unreachable`. When the configuration names another disk for the follower, everything
//! does: that disk was sent nothing.
//!
//! A rejection says more: the follower lacks all that comes after the hint. It may have lost much
//! more than a window, and gets it window by window, without another rejection. So what comes after
//! the hint counts as not sent yet.
//!
//! Sound: a cause leads to one probe with entries, which is followed by one window of the same
//! entries if a heartbeat's answer overtakes it. The limit is two windows and a few.
//!
//! Cost: a note for each append.

use super::bounds::OutOfBounds;
use raft_proto::{
    Action, AppendOutcome, EntryId, Event, Incarnation, Index, Input, Membership, Message, NodeId,
    Raft, Term,
};
use std::ops::RangeInclusive;

/// Appends beside two windows.
const A_FEW: u32 = 16;

/// What a leader has sent to a follower.
#[derive(Clone, Debug)]
struct Sent {
    leader: NodeId,
    follower: NodeId,
    term: Term,
    /// The entries, as ranges in their order; none of them touch.
    ranges: Vec<RangeInclusive<Index>>,
    /// Appends that were sent again since the last cause.
    again: u32,
    /// The follower's disk, as the last configuration that came into force names it.
    disk: Option<Incarnation>,
}

/// What each leader has sent to each follower. They are few, so a linear search is fastest.
#[derive(Debug, Default)]
pub struct SentAgain {
    sent: Vec<Sent>,
}

impl SentAgain {
    /// A node has stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.sent.retain(|sent| sent.leader != node);
    }

    /// `raft` is about to take `event`.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these inputs make a leader send again"
    )]
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        match &event.input {
            Input::Unreachable { peer } => self.has_cause(raft.id(), *peer),
            Input::Receive { from, message, .. } => match message {
                Message::InstallSnapshotReply(_) => self.has_cause(raft.id(), *from),
                Message::AppendEntriesReply(reply) => match reply.outcome {
                    AppendOutcome::Rejected { hint, .. } | AppendOutcome::Lost { hint, .. } => {
                        self.has_cause(raft.id(), *from);
                        self.lacks_after(raft, *from, reply.term, hint);
                    }
                    AppendOutcome::Accepted { .. } | AppendOutcome::Stale => {}
                },
                _ => {}
            },
            _ => {}
        }
    }

    /// `follower` has said in `term` that it lacks what comes after `hint`, and that entry, too,
    /// if the leader has another one there.
    fn lacks_after(&mut self, leader: &Raft, follower: NodeId, term: Term, hint: EntryId) {
        let agrees = hint == EntryId::ZERO || leader.term_at(hint.index) == Some(hint.term);
        let last = if agrees { hint.index } else { Index::ZERO };
        if let Some(sent) = self.find(leader.id(), follower)
            && sent.term == term
        {
            sent.forget_after(last);
        }
    }

    fn has_cause(&mut self, leader: NodeId, follower: NodeId) {
        if let Some(sent) = self.find(leader, follower) {
            sent.again = 0;
        }
    }

    fn find(&mut self, leader: NodeId, follower: NodeId) -> Option<&mut Sent> {
        let mut all = self.sent.iter_mut();
        all.find(|sent| sent.leader == leader && sent.follower == follower)
    }

    /// `leader`, whose window is `window` appends, has taken a step and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds::SentAgain`].
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these messages carry what a follower lacks"
    )]
    pub fn actions(
        &mut self,
        leader: NodeId,
        window: u32,
        actions: &[Action],
    ) -> Result<(), OutOfBounds> {
        for action in actions {
            if let Action::MembershipChanged { membership, .. } = action {
                self.forget_other_disks(leader, membership);
            }
            let Action::Send { to, message } = action else {
                continue;
            };
            match message {
                Message::InstallSnapshot(_) => self.has_cause(leader, *to),
                Message::AppendEntries(request) => {
                    if let Some(first) = request.entries.first_index() {
                        let last = request.entries.last_id().map_or(first, |id| id.index);
                        self.append(leader, *to, request.term, first..=last, window)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A configuration came into force at `leader`.
    fn forget_other_disks(&mut self, leader: NodeId, membership: &Membership) {
        for sent in self.sent.iter_mut().filter(|sent| sent.leader == leader) {
            let member = membership.get(sent.follower);
            let disk = member.and_then(|member| member.incarnation);
            if disk != sent.disk {
                sent.disk = disk;
                sent.forget();
            }
        }
    }

    fn append(
        &mut self,
        leader: NodeId,
        follower: NodeId,
        term: Term,
        entries: RangeInclusive<Index>,
        window: u32,
    ) -> Result<(), OutOfBounds> {
        let Some(sent) = self.find(leader, follower) else {
            self.sent.push(Sent {
                leader,
                follower,
                term,
                ranges: vec![entries],
                again: 0,
                disk: None,
            });
            return Ok(());
        };
        if sent.term != term {
            sent.term = term;
            sent.forget();
        }
        if !sent.add(entries) {
            return Ok(());
        }
        sent.again += 1;
        if sent.again <= window.saturating_mul(2).saturating_add(A_FEW) {
            return Ok(());
        }
        Err(OutOfBounds::SentAgain {
            leader,
            follower,
            appends: sent.again,
        })
    }
}

impl Sent {
    fn forget(&mut self) {
        self.ranges.clear();
        self.again = 0;
    }

    /// The follower lacks what comes after `last`.
    fn forget_after(&mut self, last: Index) {
        self.ranges.retain(|range| *range.start() <= last);
        if let Some(newest) = self.ranges.last_mut()
            && *newest.end() > last
        {
            *newest = *newest.start()..=last;
        }
    }

    /// Adds the entries of an append. Returns whether the first of them was sent before.
    fn add(&mut self, entries: RangeInclusive<Index>) -> bool {
        let (mut first, mut last) = entries.into_inner();
        // The ranges that touch them become one.
        let from = self.ranges.partition_point(|it| it.end().next() < first);
        let to = self.ranges.partition_point(|it| *it.start() <= last.next());
        let touching = self.ranges.get(from..to).unwrap_or_default();
        let is_again = touching.iter().any(|it| it.contains(&first));
        if let [oldest, ..] = touching {
            first = first.min(*oldest.start());
        }
        if let [.., newest] = touching {
            last = last.max(*newest.end());
        }
        self.ranges.splice(from..to.max(from), [first..=last]);
        is_again
    }
}
