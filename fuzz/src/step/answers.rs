//! What peers answer to what the node under test has sent: as it wishes, or otherwise.

use super::world::World;
use arbitrary::{Result, Unstructured};
use raft_proto::*;

impl World {
    /// An answer that is not what the node wishes for, but what a correct peer may say.
    pub(super) fn bad_answer(
        &self,
        u: &mut Unstructured<'_>,
        request: &Message,
    ) -> Result<Option<Message>> {
        let term = request.term();
        let stale = term.next();
        let says_stale = u.ratio(1, 4)?;
        Ok(match request {
            Message::RequestVote(_) => Some(Message::RequestVoteReply(RequestVoteReply {
                term: if says_stale { stale } else { term },
                vote: Vote::Refused,
            })),
            Message::AppendEntries(append) => {
                let prev_log_index = append.prev_log.index;
                let back = u64::from(u.arbitrary::<u8>()? % 8);
                let index = Index(prev_log_index.0.saturating_sub(back));
                let held = self.raft.term_at(index);
                let hint = EntryId {
                    index,
                    term: held.unwrap_or(append.prev_log.term),
                };
                let round = append.round;
                let (term, outcome) = match (says_stale, u.arbitrary()?) {
                    (true, _) => (stale, AppendOutcome::Stale),
                    (false, true) => {
                        let outcome = AppendOutcome::Rejected {
                            prev_log_index,
                            hint,
                        };
                        (term, outcome)
                    }
                    // A follower whose disk is behind.
                    (false, false) => {
                        let outcome = AppendOutcome::Accepted {
                            match_index: index,
                            received: append.entries.last_id().unwrap_or(append.prev_log).index,
                        };
                        (term, outcome)
                    }
                };
                let reply = AppendEntriesReply {
                    term,
                    outcome,
                    round,
                };
                Some(Message::AppendEntriesReply(reply))
            }
            Message::InstallSnapshot(chunk) => {
                let (term, outcome) = match says_stale {
                    true => (stale, SnapshotOutcome::Stale),
                    false => {
                        let offset = u64::from(u.arbitrary::<u8>()? % 32);
                        (term, SnapshotOutcome::Wants { offset })
                    }
                };
                let last = chunk.snapshot.id.last;
                let reply = InstallSnapshotReply {
                    term,
                    last,
                    outcome,
                };
                Some(Message::InstallSnapshotReply(reply))
            }
            Message::PreVote(request) => Some(Message::PreVoteReply(PreVoteReply {
                term: if says_stale { request.term } else { Term(0) },
                asked: request.term,
                vote: Vote::Refused,
            })),
            Message::ReadIndex(request) => Some(Message::ReadIndexReply(ReadIndexReply {
                term: if says_stale { stale } else { term },
                number: request.number,
                outcome: ReadOutcome::Refused,
            })),
            // It campaigns.
            Message::TimeoutNow(request) => Some(Message::RequestVote(RequestVote {
                term: request.term.next(),
                last_log: self.raft.last_log(),
                campaign: Campaign::Transfer,
            })),
            Message::RequestVoteReply(_)
            | Message::AppendEntriesReply(_)
            | Message::InstallSnapshotReply(_)
            | Message::PreVoteReply(_)
            | Message::ReadIndexReply(_) => None,
        })
    }
}

/// What a peer that agrees with everything answers.
pub(super) fn good_answer(request: &Message) -> Option<Message> {
    let term = request.term();
    match request {
        Message::RequestVote(_) => Some(Message::RequestVoteReply(RequestVoteReply {
            term,
            vote: Vote::Granted,
        })),
        Message::AppendEntries(append) => {
            let last = append.entries.last_id().unwrap_or(append.prev_log).index;
            let round = append.round;
            let outcome = AppendOutcome::Accepted {
                match_index: last,
                received: last,
            };
            let reply = AppendEntriesReply {
                term,
                outcome,
                round,
            };
            Some(Message::AppendEntriesReply(reply))
        }
        Message::InstallSnapshot(chunk) => {
            let id = chunk.snapshot.id;
            let end = chunk.offset + chunk.data.len() as u64;
            let outcome = match end == id.size {
                true => SnapshotOutcome::Installed,
                false => SnapshotOutcome::Wants { offset: end },
            };
            Some(Message::InstallSnapshotReply(InstallSnapshotReply {
                term,
                last: id.last,
                outcome,
            }))
        }
        Message::PreVote(request) => Some(Message::PreVoteReply(PreVoteReply {
            term: Term(request.term.0 - 1),
            asked: request.term,
            vote: Vote::Granted,
        })),
        Message::ReadIndex(request) => Some(Message::ReadIndexReply(ReadIndexReply {
            term,
            number: request.number,
            outcome: ReadOutcome::Ready { index: Index(1) },
        })),
        Message::RequestVoteReply(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshotReply(_)
        | Message::PreVoteReply(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndexReply(_) => None,
    }
}
