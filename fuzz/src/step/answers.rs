//! What peers answer to the requests of the node under test: consent, or something else.

use super::world::World;
use arbitrary::{Result, Unstructured};
use raft_proto::*;

impl World {
    /// An answer that does not help the node, but that a correct peer may give.
    pub(super) fn bad_answer(
        &self,
        u: &mut Unstructured<'_>,
        request: &Message,
    ) -> Result<Option<Message>> {
        let peer_term = if u.ratio(1, 4)? {
            PeerTerm::Later
        } else {
            PeerTerm::Same
        };
        let term = peer_term.reply_term(request.term());
        Ok(match request {
            Message::RequestVote(_) => Some(Message::RequestVoteReply(RequestVoteReply {
                term,
                vote: Vote::Refused,
            })),
            Message::AppendEntries(append) => {
                let reply = self.bad_append_reply(u, append, peer_term)?;
                Some(Message::AppendEntriesReply(reply))
            }
            Message::InstallSnapshot(chunk) => {
                let outcome = match peer_term {
                    PeerTerm::Same => SnapshotOutcome::Wants {
                        offset: u64::from(u.arbitrary::<u8>()? % 32),
                    },
                    PeerTerm::Later => SnapshotOutcome::Stale,
                };
                let reply = InstallSnapshotReply {
                    term,
                    last: chunk.snapshot.id.last,
                    outcome,
                };
                Some(Message::InstallSnapshotReply(reply))
            }
            Message::PreVote(request) => Some(Message::PreVoteReply(PreVoteReply {
                term: match peer_term {
                    PeerTerm::Same => Term(0),
                    PeerTerm::Later => request.term,
                },
                asked: request.term,
                vote: Vote::Refused,
                dismissal: None,
                lineage: request.lineage,
            })),
            Message::ReadIndex(request) => Some(Message::ReadIndexReply(ReadIndexReply {
                term,
                number: request.number,
                outcome: ReadOutcome::Refused,
                stored: request.stored,
            })),
            // The peer campaigns, as it was asked to.
            Message::TimeoutNow(request) => Some(Message::RequestVote(RequestVote {
                term: request.term.next(),
                last_log: self.raft.last_log(),
                campaign: Campaign::Transfer {
                    number: request.transfer,
                },
                lineage: Lineage::Unknown,
            })),
            Message::RequestVoteReply(_)
            | Message::AppendEntriesReply(_)
            | Message::InstallSnapshotReply(_)
            | Message::PreVoteReply(_)
            | Message::ReadIndexReply(_) => None,
        })
    }

    fn bad_append_reply(
        &self,
        u: &mut Unstructured<'_>,
        append: &AppendEntries,
        peer_term: PeerTerm,
    ) -> Result<AppendEntriesReply> {
        let prev_log_index = append.prev_log.index;
        let back = u64::from(u.arbitrary::<u8>()? % 8);
        let index = Index(prev_log_index.0.saturating_sub(back));
        let refuses = u.arbitrary()?;
        let outcome = if peer_term == PeerTerm::Later {
            AppendOutcome::Stale
        } else if refuses {
            let held = self.raft.term_at(index);
            let term = held.unwrap_or(append.prev_log.term);
            AppendOutcome::Rejected {
                prev_log_index,
                hint: EntryId { index, term },
            }
        } else {
            // A follower whose disk is behind.
            AppendOutcome::Accepted {
                match_index: index,
                received: append.entries.last_id().unwrap_or(append.prev_log).index,
            }
        };
        Ok(AppendEntriesReply {
            term: peer_term.reply_term(append.term),
            outcome,
            round: append.round,
            limits: None,
        })
    }
}

/// The term of the peer that answers: that of the request, or the one after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PeerTerm {
    Same,
    Later,
}

impl PeerTerm {
    fn reply_term(self, request: Term) -> Term {
        match self {
            PeerTerm::Same => request,
            PeerTerm::Later => request.next(),
        }
    }
}

/// What a peer answers that agrees with everything.
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
                limits: None,
            };
            Some(Message::AppendEntriesReply(reply))
        }
        Message::InstallSnapshot(chunk) => {
            let id = chunk.snapshot.id;
            let end = chunk.offset + chunk.data.len() as u64;
            let outcome = if end == id.size {
                SnapshotOutcome::Installed
            } else {
                SnapshotOutcome::Wants { offset: end }
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
            dismissal: None,
            lineage: request.lineage,
        })),
        Message::ReadIndex(request) => Some(Message::ReadIndexReply(ReadIndexReply {
            term,
            number: request.number,
            outcome: match request.number {
                ReadIndex::ASKS_FOR_AN_ENTRY => ReadOutcome::Refused,
                _ => ReadOutcome::Ready { index: Index(1) },
            },
            stored: request.stored,
        })),
        Message::RequestVoteReply(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshotReply(_)
        | Message::PreVoteReply(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndexReply(_) => None,
    }
}
