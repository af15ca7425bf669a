//! What the bytes choose: peers, indexes and terms near those that matter, and messages.

use super::start::{NODE, snapshot_of};
use super::world::World;
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use raft_proto::*;

/// Members with any roles; sometimes no members, or no voters among them.
fn any_membership(u: &mut Unstructured<'_>) -> Result<Membership> {
    let mut members = Vec::new();
    for id in 0..u.int_in_range(0..=5)? {
        let role = *u.choose(&[
            MemberRole::Voter,
            MemberRole::Voter,
            MemberRole::Learner,
            MemberRole::Incoming,
            MemberRole::Outgoing,
            MemberRole::Demoted,
            MemberRole::Staging,
        ])?;
        let mut member = Member::voter(NodeId(id)).with_role(role);
        member.incarnation = any_incarnation(u)?;
        members.push(member.with_priority(u.int_in_range(0..=2)?));
    }
    let membership = Membership::of(members);
    let membership = match u.int_in_range(0..=7)? {
        level @ 1..=2 => membership.with_level(Level::of_service(level)),
        _ => membership,
    };
    Ok(match u.int_in_range(0..=3)? {
        history @ 1.. => membership.with_history(HistoryId(history)),
        0 => membership,
    })
}

/// The storage of a sender or a member; mostly none.
pub(super) fn any_incarnation(u: &mut Unstructured<'_>) -> Result<Option<Incarnation>> {
    let number = u.int_in_range(0..=5)?;
    Ok((1..=2).contains(&number).then_some(Incarnation(number)))
}

/// Where a log comes from; mostly unknown.
pub(super) fn any_lineage(u: &mut Unstructured<'_>) -> Result<Lineage> {
    let founders = 1;
    Ok(*u.choose(&[
        Lineage::Unknown,
        Lineage::Unknown,
        Lineage::Founding { founders },
        Lineage::Of(HistoryId(1)),
        Lineage::Of(HistoryId(2)),
    ])?)
}

/// Why a candidate campaigns.
pub(super) fn any_campaign(u: &mut Unstructured<'_>) -> Result<Campaign> {
    let transfer = Campaign::Transfer { number: 1 };
    Ok(*u.choose(&[Campaign::Election, transfer])?)
}

/// A change of a few members.
pub(super) fn any_change(u: &mut Unstructured<'_>) -> Result<MembershipChange> {
    let mut nodes = Vec::new();
    for _ in 0..u.int_in_range(0..=3u8)? {
        let id = NodeId(u.int_in_range(1..=6)?);
        nodes.push(match u.int_in_range(0..=6u8)? {
            0 => NodeChange::Set(Member::voter(id).with_priority(u.int_in_range(0..=2)?)),
            1 => NodeChange::Set(Member::learner(id)),
            2 => NodeChange::Promote(id),
            3 => NodeChange::Demote(id),
            4 => NodeChange::Set(Member::staging(id)),
            5 => NodeChange::Update {
                node: id,
                priority: Some(u.int_in_range(0..=2)?),
                context: None,
            },
            _ => NodeChange::Remove(id),
        });
    }
    let readiness = *u.choose(&[Readiness::Checked, Readiness::Forced])?;
    Ok(MembershipChange {
        nodes,
        readiness,
        expected: None,
    })
}

impl World {
    /// Any node: mostly a peer, sometimes the node itself or a node that is no member.
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
        if peers.is_empty() {
            Ok(NodeId(2))
        } else {
            u.choose(&peers).copied()
        }
    }

    /// One of `places`, the number before or after it, or any other number.
    fn near(&self, u: &mut Unstructured<'_>, places: &[u64]) -> Result<u64> {
        let offset = match u.int_in_range(0..=11u8)? {
            0 => return Ok(0),
            1 => return Ok(u64::MAX),
            2 => return u.arbitrary(),
            3 => return Ok(1 << u.int_in_range(0..=63)?),
            4 => 1,
            5 => u64::MAX,
            6 => u64::from(u.arbitrary::<u8>()?),
            _ => 0,
        };
        Ok(u.choose(places)?.wrapping_add(offset))
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

    /// The id of an entry: mostly that of the log's entry at the index chosen, or any other.
    pub(super) fn any_entry(&self, u: &mut Unstructured<'_>) -> Result<EntryId> {
        let index = self.any_index(u)?;
        let term = match self.raft.term_at(index) {
            Some(term) if u.ratio(3, 4)? => term,
            Some(_) | None => self.any_term(u)?,
        };
        Ok(EntryId { index, term })
    }

    /// Entries after `prev`: first those of the log, as a correct leader sends them, then others.
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
            let new_term = match u.int_in_range(0..=7u8)? {
                0 => self.any_term(u)?,
                1 => last.term,
                2 => Term(last.term.0.saturating_add(1)),
                _ => term,
            };
            let id = EntryId {
                index: last.index.next(),
                term: new_term,
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
            // The builder refuses terms that fall. A frame can hold them: see `crate::wire`.
            if !fits || builder.push(id, kind, payload).is_err() {
                break;
            }
            last = id;
        }
        Ok(builder.finish())
    }

    /// Any message, also one that no correct peer sends.
    pub(super) fn any_message(&self, u: &mut Unstructured<'_>) -> Result<Message> {
        let term = self.any_term(u)?;
        Ok(match u.int_in_range(0..=10u8)? {
            0 => Message::RequestVote(RequestVote {
                term,
                last_log: self.any_entry(u)?,
                campaign: any_campaign(u)?,
                lineage: any_lineage(u)?,
            }),
            1 => Message::RequestVoteReply(RequestVoteReply {
                term,
                vote: *u.choose(&[Vote::Granted, Vote::Refused])?,
            }),
            2 => Message::AppendEntries(self.any_append(u, term)?),
            3 => Message::AppendEntriesReply(AppendEntriesReply {
                term,
                outcome: self.any_append_outcome(u)?,
                round: self.near(u, &[0, 1, 5])?,
                limits: Self::any_limits(u)?,
            }),
            4 => Message::InstallSnapshot(Box::new(self.any_chunk(u, term)?)),
            5 => Message::PreVote(PreVote {
                term,
                last_log: self.any_entry(u)?,
                campaign: any_campaign(u)?,
                lineage: any_lineage(u)?,
            }),
            6 => Message::PreVoteReply(PreVoteReply {
                term,
                asked: self.any_term(u)?,
                vote: *u.choose(&[Vote::Granted, Vote::Refused])?,
                dismissal: self.any_dismissal(u)?,
                lineage: any_lineage(u)?,
            }),
            7 => Message::TimeoutNow(TimeoutNow {
                term,
                transfer: term.0 % 3,
            }),
            8 => Message::ReadIndex(ReadIndex {
                term,
                number: u.int_in_range(0..=3)?,
                stored: Index(u.int_in_range(0..=1)?),
            }),
            9 => Message::ReadIndexReply(ReadIndexReply {
                term,
                number: u.int_in_range(0..=3)?,
                outcome: self.any_read_outcome(u)?,
                stored: Index(u.int_in_range(0..=1)?),
            }),
            _ => Message::InstallSnapshotReply(InstallSnapshotReply {
                term,
                last: self.any_entry(u)?,
                outcome: self.any_snapshot_outcome(u)?,
            }),
        })
    }

    fn any_append(&self, u: &mut Unstructured<'_>, term: Term) -> Result<AppendEntries> {
        let prev_log = self.any_entry(u)?;
        let follows = if u.ratio(7, 8)? {
            prev_log
        } else {
            self.any_entry(u)?
        };
        let leader_commit = self.any_index(u)?;
        let entries = self.entries_after(u, follows, term)?;
        let round = self.near(u, &[0, 1, 5])?;
        Ok(AppendEntries {
            term,
            prev_log,
            leader_commit,
            entries,
            round,
            revoked: round % 3,
            promise_millis: *u.choose(&[0, 100, 500, u32::MAX])?,
            lineage: any_lineage(u)?,
        })
    }

    fn any_dismissal(&self, u: &mut Unstructured<'_>) -> Result<Option<Dismissal>> {
        Ok(match u.int_in_range(0..=6u8)? {
            0 => Some(Dismissal::Removed {
                index: self.any_index(u)?,
            }),
            1 => Some(Dismissal::OtherIncarnation {
                index: self.any_index(u)?,
                named: Incarnation(u.int_in_range(1..=2)?),
            }),
            2 => Some(Dismissal::OtherFounders),
            _ => None,
        })
    }

    fn any_snapshot_outcome(&self, u: &mut Unstructured<'_>) -> Result<SnapshotOutcome> {
        Ok(match u.int_in_range(0..=3u8)? {
            0 => SnapshotOutcome::Wants {
                offset: self.near(u, &[0, 1, 20])?,
            },
            1 => SnapshotOutcome::Installed,
            2 => SnapshotOutcome::Damaged,
            _ => SnapshotOutcome::Stale,
        })
    }

    fn any_read_outcome(&self, u: &mut Unstructured<'_>) -> Result<ReadOutcome> {
        Ok(if u.arbitrary()? {
            ReadOutcome::Refused
        } else {
            let index = self.any_index(u)?;
            ReadOutcome::Ready { index }
        })
    }

    fn any_append_outcome(&self, u: &mut Unstructured<'_>) -> Result<AppendOutcome> {
        Ok(match u.int_in_range(0..=3u8)? {
            0 => AppendOutcome::Accepted {
                match_index: self.any_index(u)?,
                received: self.any_index(u)?,
            },
            1 => AppendOutcome::Rejected {
                prev_log_index: self.any_index(u)?,
                hint: self.any_entry(u)?,
            },
            2 => AppendOutcome::Lost {
                prev_log_index: self.any_index(u)?,
                hint: self.any_entry(u)?,
            },
            _ => AppendOutcome::Stale,
        })
    }

    fn any_limits(u: &mut Unstructured<'_>) -> Result<Option<MessageLimits>> {
        Ok(match u.int_in_range(0..=7u8)? {
            0 => Some(MessageLimits {
                max_entry_bytes: u.int_in_range(0..=16)?,
                max_payload_bytes: u.int_in_range(0..=200)?,
                level: Level::of_service(u.int_in_range(0..=2)?),
            }),
            _ => None,
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
