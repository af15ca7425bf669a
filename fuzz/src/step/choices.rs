//! What the bytes choose: settings, numbers near those that matter, and messages.

use super::world::World;
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use raft_proto::*;
use std::time::Duration;

/// The node under test.
pub(super) const NODE: NodeId = NodeId(1);

/// Settings with limits so small that few steps reach them.
pub(super) fn config(u: &mut Unstructured<'_>) -> Result<Config> {
    let start = match u.int_in_range(0..=7u8)? {
        0 => Start::Join,
        1 => bootstrap(1),
        2 => bootstrap(2),
        3 | 4 => bootstrap(5),
        _ => bootstrap(3),
    };
    let mut config = Config::new(ClusterId(7), NODE, start, u64::from(u.arbitrary::<u8>()?));
    if u.ratio(1, 2)? {
        config.leader_noop = LeaderNoop::Off;
    }
    if u.ratio(1, 4)? {
        config.commit_notice_delay = Duration::from_millis(50);
    }
    if u.ratio(3, 4)? {
        config.max_entry_bytes = 8;
        config.max_append_bytes = u.int_in_range(24..=100)?;
        config.max_inflight_appends = u.int_in_range(1..=3)?;
        config.max_inflight_bytes = config.max_append_bytes * 2;
        config.max_uncommitted_bytes = u.int_in_range(24..=255)?;
        config.max_unapplied_bytes = u.int_in_range(24..=100)?;
    }
    if u.ratio(1, 2)? {
        config.pre_vote = PreVoting::Off;
    }
    if u.ratio(1, 2)? {
        config.check_quorum = CheckQuorum::Off;
    } else if u.ratio(1, 2)? {
        config.lease = Lease::On {
            max_drift_ppm: u.int_in_range(0..=Config::MAX_DRIFT_PPM)?,
        };
    }
    if u.ratio(1, 4)? {
        config.max_resident_bytes = Some(u.int_in_range(0..=100)?);
    }
    config.max_waiting_reads = u.int_in_range(1..=4)?;
    config.max_promotion_lag = u.int_in_range(0..=4)?;
    config.snapshot_chunk_bytes = u.int_in_range(1..=20)?;
    config.trailing_entries = u.int_in_range(0..=3)?;
    Ok(config)
}

fn bootstrap(count: u64) -> Start {
    let voters = (1..=count).map(NodeId);
    Start::voters(voters)
}

/// What a storage holds at the start: mostly nothing; sometimes numbers near their ends.
pub(super) fn recovered(u: &mut Unstructured<'_>, config: &Config) -> Result<Recovered> {
    let (index, term) = match u.int_in_range(0..=7u8)? {
        0 => (Index::MAX.0 - 3, 5),
        1 => (Index::MAX.0, Term::MAX.0 - 1),
        2 => (10, Term::MAX.0),
        3 => (10, 5),
        _ => return Ok(Recovered::default()),
    };
    let voters = [NODE, NodeId(2), NodeId(3)];
    let (id, _) = snapshot_of(EntryId::new(index, term), 30);
    Ok(Recovered {
        identity: Some(Identity {
            cluster_id: config.cluster_id,
            group_id: config.group_id,
            node_id: config.node_id,
            bootstrap: Membership::new(voters),
        }),
        hard_state: HardState {
            term: Term(term),
            voted_for: None,
        },
        snapshot: Some(SnapshotMeta {
            id,
            membership: Membership::new(voters),
        }),
        ..Recovered::default()
    })
}

/// The bytes of the snapshot at `last`, and its id.
pub(super) fn snapshot_of(last: EntryId, size: u8) -> (SnapshotId, Bytes) {
    let byte = |at: u8| (last.index.0 as u8).wrapping_mul(31).wrapping_add(at);
    let bytes: Vec<u8> = (0..size).map(byte).collect();
    let id = SnapshotId {
        last,
        size: u64::from(size),
        checksum: Checksum::of(&bytes),
    };
    (id, Bytes::from(bytes))
}

/// Members with any roles; sometimes none, or no voters.
fn any_membership(u: &mut Unstructured<'_>) -> Result<Membership> {
    let mut members = Vec::new();
    for id in 0..u.int_in_range(0..=5)? {
        members.push(Member {
            id: NodeId(id),
            role: *u.choose(&[
                MemberRole::Voter,
                MemberRole::Voter,
                MemberRole::Learner,
                MemberRole::Incoming,
                MemberRole::Outgoing,
                MemberRole::Demoted,
            ])?,
            priority: u.int_in_range(0..=2)?,
            context: Bytes::new(),
        });
    }
    Ok(Membership::of(members))
}

/// A change of a few members.
pub(super) fn any_change(u: &mut Unstructured<'_>) -> Result<MembershipChange> {
    let mut nodes = Vec::new();
    for _ in 0..u.int_in_range(0..=3u8)? {
        let id = NodeId(u.int_in_range(1..=6)?);
        nodes.push(match u.int_in_range(0..=4u8)? {
            0 => NodeChange::Set(Member::voter(id).with_priority(u.int_in_range(0..=2)?)),
            1 => NodeChange::Set(Member::learner(id)),
            2 => NodeChange::Promote(id),
            3 => NodeChange::Demote(id),
            _ => NodeChange::Remove(id),
        });
    }
    let readiness = *u.choose(&[Readiness::Checked, Readiness::Forced])?;
    Ok(MembershipChange { nodes, readiness })
}

impl World {
    /// Any node: peers mostly, sometimes the node itself or a stranger.
    pub(super) fn any_node(&self, u: &mut Unstructured<'_>) -> Result<NodeId> {
        Ok(match u.int_in_range(0..=15u8)? {
            0 => NODE,
            1 => NodeId(9),
            2 => NodeId(u64::MAX),
            3..=8 => NodeId(2),
            9..=12 => NodeId(3),
            13 => NodeId(4),
            _ => NodeId(5),
        })
    }

    pub(super) fn any_peer(&self, u: &mut Unstructured<'_>) -> Result<NodeId> {
        let peers: Vec<NodeId> = self.raft.membership().voters().collect();
        let peers: Vec<NodeId> = peers.into_iter().filter(|peer| *peer != NODE).collect();
        match peers.is_empty() {
            true => Ok(NodeId(2)),
            false => u.choose(&peers).copied(),
        }
    }

    fn near(&self, u: &mut Unstructured<'_>, places: &[u64]) -> Result<u64> {
        let step = match u.int_in_range(0..=11u8)? {
            0 => return Ok(0),
            1 => return Ok(u64::MAX),
            2 => return u.arbitrary(),
            3 => return Ok(1 << u.int_in_range(0..=63)?),
            4 => 1,
            5 => u64::MAX,
            6 => u64::from(u.arbitrary::<u8>()?),
            _ => 0,
        };
        Ok(u.choose(places)?.wrapping_add(step))
    }

    pub(super) fn any_term(&self, u: &mut Unstructured<'_>) -> Result<Term> {
        let term = self.raft.term().0;
        let far = term.wrapping_add(Term::MAX_AHEAD);
        self.near(u, &[term, term, self.raft.last_log().term.0, far])
            .map(Term)
    }

    pub(super) fn any_index(&self, u: &mut Unstructured<'_>) -> Result<Index> {
        let raft = &self.raft;
        let snapshot = raft
            .snapshot()
            .map_or(0, |snapshot| snapshot.id.last.index.0);
        let places = [
            raft.last_log().index.0,
            raft.commit_index().0,
            raft.durable_index().0,
            raft.handed_out_index().0,
            raft.log_base().index.0,
            snapshot,
            Index::MAX.0,
        ];
        self.near(u, &places).map(Index)
    }

    /// An entry id: of the log's own where there is one at the index chosen, or any.
    pub(super) fn any_entry(&self, u: &mut Unstructured<'_>) -> Result<EntryId> {
        let index = self.any_index(u)?;
        let held = self.raft.term_at(index);
        let term = match held {
            Some(term) if u.ratio(3, 4)? => term,
            Some(_) | None => self.any_term(u)?,
        };
        Ok(EntryId { index, term })
    }

    /// Entries after `prev`: first those of the log, as a correct leader's are, then others.
    pub(super) fn entries_after(
        &self,
        u: &mut Unstructured<'_>,
        prev: EntryId,
        term: Term,
    ) -> Result<Entries> {
        let mut builder = EntriesBuilder::new();
        let mut last = prev;
        if self.raft.term_at(prev.index) == Some(prev.term) {
            let to = prev.index.plus(u.int_in_range(0..=3)?);
            for entry in &self.raft.entries(prev.index.next(), to) {
                let pushed = builder.push(entry.id(), entry.kind(), entry.share_payload());
                pushed.expect("the log's entries are consecutive");
                last = entry.id();
            }
        }
        let limit = self.raft.config().max_entry_bytes;
        for _ in 0..u.int_in_range(0..=3u8)? {
            let new = match u.int_in_range(0..=7u8)? {
                0 => self.any_term(u)?,
                1 => last.term,
                2 => Term(last.term.0.saturating_add(1)),
                _ => term,
            };
            let id = EntryId {
                index: last.index.next(),
                term: new,
            };
            let size = match u.int_in_range(0..=15u8)? {
                0 => 9,
                some => usize::from(some % 9),
            };
            let kind = match size {
                0 => EntryKind::Noop,
                _ => EntryKind::Command,
            };
            let payload = Bytes::from(vec![id.index.0 as u8; size]);
            let fits = size as u64 <= limit || u.ratio(1, 8)?;
            // The builder does not take terms that fall; a frame can hold them, see `wire`.
            if !fits || builder.push(id, kind, payload).is_err() {
                break;
            }
            last = id;
        }
        Ok(builder.finish())
    }

    /// A message as no correct peer needs to send it.
    pub(super) fn any_message(&self, u: &mut Unstructured<'_>) -> Result<Message> {
        let term = self.any_term(u)?;
        Ok(match u.int_in_range(0..=10u8)? {
            0 => Message::RequestVote(RequestVote {
                term,
                last_log: self.any_entry(u)?,
                campaign: *u.choose(&[Campaign::Election, Campaign::Transfer])?,
            }),
            1 => Message::RequestVoteReply(RequestVoteReply {
                term,
                vote: *u.choose(&[Vote::Granted, Vote::Refused])?,
            }),
            2 => {
                let prev_log = self.any_entry(u)?;
                let follows = match u.ratio(7, 8)? {
                    true => prev_log,
                    false => self.any_entry(u)?,
                };
                Message::AppendEntries(AppendEntries {
                    term,
                    prev_log,
                    leader_commit: self.any_index(u)?,
                    entries: self.entries_after(u, follows, term)?,
                    round: self.near(u, &[0, 1, 5])?,
                })
            }
            3 => Message::AppendEntriesReply(AppendEntriesReply {
                term,
                outcome: self.any_append_outcome(u)?,
                round: self.near(u, &[0, 1, 5])?,
            }),
            4 => Message::InstallSnapshot(Box::new(self.any_chunk(u, term)?)),
            5 => Message::PreVote(PreVote {
                term,
                last_log: self.any_entry(u)?,
            }),
            6 => Message::PreVoteReply(PreVoteReply {
                term,
                asked: self.any_term(u)?,
                vote: *u.choose(&[Vote::Granted, Vote::Refused])?,
            }),
            7 => Message::TimeoutNow(TimeoutNow { term }),
            8 => Message::ReadIndex(ReadIndex {
                term,
                number: u.int_in_range(0..=3)?,
            }),
            9 => Message::ReadIndexReply(ReadIndexReply {
                term,
                number: u.int_in_range(0..=3)?,
                outcome: match u.arbitrary()? {
                    true => ReadOutcome::Refused,
                    false => ReadOutcome::Ready {
                        index: self.any_index(u)?,
                    },
                },
            }),
            _ => Message::InstallSnapshotReply(InstallSnapshotReply {
                term,
                last: self.any_entry(u)?,
                outcome: match u.int_in_range(0..=2u8)? {
                    0 => SnapshotOutcome::Wants {
                        offset: self.near(u, &[0, 1, 20])?,
                    },
                    1 => SnapshotOutcome::Installed,
                    _ => SnapshotOutcome::Stale,
                },
            }),
        })
    }

    fn any_append_outcome(&self, u: &mut Unstructured<'_>) -> Result<AppendOutcome> {
        Ok(match u.int_in_range(0..=2u8)? {
            0 => AppendOutcome::Accepted {
                match_index: self.any_index(u)?,
                received: self.any_index(u)?,
            },
            1 => AppendOutcome::Rejected {
                prev_log_index: self.any_index(u)?,
                hint: self.any_entry(u)?,
            },
            _ => AppendOutcome::Stale,
        })
    }

    fn any_chunk(&self, u: &mut Unstructured<'_>, term: Term) -> Result<InstallSnapshot> {
        let (mut id, bytes) = snapshot_of(self.any_entry(u)?, u.int_in_range(0..=40)?);
        let offset = self.near(u, &[0, 10, 20])?;
        let start = usize::try_from(offset).unwrap_or(0).min(bytes.len());
        let end = start + u.int_in_range(0..=bytes.len() - start)?;
        match u.int_in_range(0..=7u8)? {
            0 => id.size = self.near(u, &[id.size, offset])?,
            1 => id.checksum ^= 1,
            _ => {}
        }
        let membership = any_membership(u)?;
        Ok(InstallSnapshot {
            term,
            snapshot: SnapshotMeta { id, membership },
            offset,
            data: bytes.slice(start..end),
        })
    }
}
