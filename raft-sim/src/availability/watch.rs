//! The three claims that hold under every condition, judged by looks at the cluster.

use super::{COMMIT_BOUND, SETTLING, SPARE_TERMS, Unavailable};
use core::time::Duration;
use raft_proto::{Index, NodeId, Term, Time};

/// The times that the bounds are multiples of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `election_timeout_max`.
    pub timeout: Duration,
}

impl Bounds {
    /// So many times the election timeout.
    pub fn timeouts(&self, count: u32) -> Duration {
        self.timeout * count
    }
}

/// Which of the claims are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Something is committed again and again.
    pub commits: bool,
    /// Terms are quiet.
    pub quiet: bool,
    /// A leader that is well stays.
    pub leader_stays: bool,
}

/// The leader of the greatest term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderView {
    /// Its id.
    pub id: NodeId,
    /// Its term.
    pub term: Term,
    /// It has committed an entry of its term, and links in both directions lead to a majority.
    pub is_well: bool,
}

/// What is seen of a cluster at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// When.
    pub at: Time,
    /// The greatest commitIndex.
    pub commit_index: Index,
    /// The greatest term of a node that runs.
    pub term: Term,
    /// The leader.
    pub leader: Option<LeaderView>,
}

/// Looks at a cluster from time to time, and judges.
#[derive(Clone, Debug)]
pub struct Watch {
    bounds: Bounds,
    claims: Claims,
    begun: Time,
    /// The last commit, and when it was first seen.
    commit: (Index, Time),
    /// How long the transfers of snapshots take without which nothing was committed since.
    transfers: Duration,
    /// Since when terms have to be quiet, and the greatest term then.
    settled: Option<(Time, Term)>,
    /// Terms that may begin beyond the usual: somebody asked for elections.
    excused: u64,
    /// A leader that was well when it was last seen, and since when.
    well: Option<(LeaderView, Time)>,
    longest: Duration,
    deposed: u64,
}

impl Watch {
    /// The conditions stay from now on.
    pub fn new(bounds: Bounds, claims: Claims, now: Time, commit_index: Index) -> Watch {
        Watch {
            bounds,
            claims,
            begun: now,
            commit: (commit_index, now),
            transfers: Duration::ZERO,
            settled: None,
            excused: 0,
            well: None,
            longest: Duration::ZERO,
            deposed: 0,
        }
    }

    /// The leader is going to crash, or is cut off: the time without commits begins now, and terms
    /// may begin until the next leader has committed.
    pub fn leader_crashes(&mut self, now: Time) {
        self.commit.1 = now;
        self.settled = None;
        self.well = None;
    }

    /// Somebody asks for elections: so many more terms may begin.
    pub fn excuse(&mut self, terms: u64) {
        self.excused += terms;
    }

    /// No majority has what it needs to commit before a snapshot is sent. That takes so long.
    pub fn needs_snapshots(&mut self, transfers: Duration) {
        self.transfers = self.transfers.max(transfers);
    }

    /// How long the transfers of snapshots take without which nothing was committed since the last
    /// commit.
    pub fn transfers(&self) -> Duration {
        self.transfers
    }

    /// Whether a leader has committed, and all that was delayed has arrived.
    pub fn has_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// The longest time without a commit.
    pub fn longest_without_commit(&self) -> Duration {
        self.longest
    }

    /// How many leaders were deposed though they were well.
    pub fn deposed(&self) -> u64 {
        self.deposed
    }

    /// Looks at the cluster. `has_handed_over` tells whether a leader has sent TimeoutNow in its
    /// term.
    ///
    /// # Errors
    ///
    /// The first claim that does not hold.
    pub fn look(
        &mut self,
        view: &View,
        has_handed_over: impl Fn(NodeId, Term) -> bool,
    ) -> Result<(), Unavailable> {
        self.check_commit(view)?;
        let deposed = self.note_leader(view, has_handed_over);
        self.check_terms(view)?;
        match deposed {
            Some(Deposed { leader, term }) if self.claims.leader_stays => {
                Err(Unavailable::Deposed { leader, term })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_commit(&mut self, view: &View) -> Result<(), Unavailable> {
        let without = view.at.since(self.commit.1);
        self.longest = self.longest.max(without);
        if view.commit_index > self.commit.0 {
            self.commit = (view.commit_index, view.at);
            self.transfers = Duration::ZERO;
            return Ok(());
        }
        let within = self.bounds.timeouts(COMMIT_BOUND) + self.transfers;
        if self.claims.commits && without > within {
            let leader = view.leader.map(|leader| leader.id);
            return Err(Unavailable::NoCommit { within, leader });
        }
        Ok(())
    }

    fn check_terms(&mut self, view: &View) -> Result<(), Unavailable> {
        let Some((since, term)) = self.settled else {
            let has_arrived = self.begun.after(self.bounds.timeouts(SETTLING)) <= view.at;
            if has_arrived && self.well.is_some() {
                self.settled = Some((view.at, view.term));
            }
            return Ok(());
        };
        let within = view.at.since(since);
        let tens = within.as_nanos() / self.bounds.timeouts(10).as_nanos().max(1);
        let most = SPARE_TERMS + self.excused + tens as u64; // A few.
        let terms = view.term.0.saturating_sub(term.0);
        if self.claims.quiet && terms > most {
            return Err(Unavailable::Restless {
                terms,
                most,
                within,
            });
        }
        Ok(())
    }

    /// Whether the leader has been well for a while. Another node may have begun an election just
    /// before it heard of this leader, with pre-votes from before.
    fn is_established(&self, now: Time) -> bool {
        let timeouts = self.bounds.timeouts(2);
        self.well
            .is_some_and(|(_, since)| since.after(timeouts) <= now)
    }

    /// Notes who leads. Returns a leader that was well until now, and was deposed.
    fn note_leader(
        &mut self,
        view: &View,
        has_handed_over: impl Fn(NodeId, Term) -> bool,
    ) -> Option<Deposed> {
        let is_judged = self.settled.is_some() && self.is_established(view.at);
        let before = self.well.take();
        let is_same = |one: LeaderView| {
            let leader = view.leader;
            leader.is_some_and(|now| now.id == one.id && now.term == one.term)
        };
        let since = before.filter(|(leader, _)| is_same(*leader));
        let since = since.map_or(view.at, |(_, since)| since);
        let well = view.leader.filter(|leader| leader.is_well);
        self.well = well.map(|leader| (leader, since));
        let (LeaderView { id, term, .. }, _) = before?;
        let was_deposed = is_judged
            && view
                .leader
                .is_none_or(|now| (now.id, now.term) != (id, term));
        if !was_deposed || has_handed_over(id, term) {
            return None;
        }
        self.deposed += 1;
        Some(Deposed { leader: id, term })
    }
}

/// A leader that lost its leadership.
struct Deposed {
    leader: NodeId,
    term: Term,
}
