//! Any sequence of events, honest and hostile, for one node in any role. The node must not panic,
//! and its promises must hold after each step.
//!
//! The bytes choose the events. Time passes. A leader or a voter sends what a correct one would
//! send, or some node sends anything at all. The disk lags behind, fails, or loses in a restart
//! the writes that it has not reported. The model around the node (`world`, `disk`) knows
//! what is durable, and `checks` compares the node's actions with it.
//!
//! With `RAFT_FUZZ_TRACE` set, events and actions are printed.

mod answers;
mod checks;
mod choices;
mod disk;
mod operator;
mod start;
mod world;

use answers::good_answer;
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use raft_proto::*;
use start::{NODE, snapshot_of};
use std::time::Duration;
use world::{ChunkRead, ChunkWrite, EntryRead, PeerMessage, Transfer, World, WritePace};

/// Runs the events that `data` describes.
pub fn run(data: &[u8]) {
    // The only error is the end of the data.
    let _ = run_events(&mut Unstructured::new(data));
}

fn run_events(u: &mut Unstructured<'_>) -> Result<()> {
    let config = start::config(u)?;
    let recovered = start::recovered(u, &config)?;
    let mut world = World::new(config, recovered);
    world.writes = if u.arbitrary()? {
        WritePace::Immediate
    } else {
        WritePace::Delayed
    };
    world.step(Input::Tick);
    while !u.is_empty() {
        world.next_event(u)?;
    }
    world.check_checkpoint();
    Ok(())
}

impl World {
    /// The bytes choose one event, and the node takes it.
    fn next_event(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=38u8)? {
            0 | 1 => self.advance_time(u),
            2..=4 => self.reach_deadline(),
            5 | 6 => self.persist_writes(u),
            7 | 8 => self.propose(u),
            9..=11 => self.receive_any(u),
            12..=15 => self.receive_append(u),
            16..=18 => self.receive_answer(u),
            19 | 20 => self.receive_all_answers(),
            21 => self.receive_vote_request(u),
            22 => self.report_applied(u),
            23 => self.compact(u),
            24 | 25 => self.receive_chunk(u),
            26 | 27 => self.answer_snapshot_io(u),
            28 => {
                let peer = self.any_node(u)?;
                self.step(Input::Unreachable { peer });
                Ok(())
            }
            29 => self.break_contract(u),
            30 => self.crash(u),
            32 | 33 => self.read(u),
            34 => self.transfer_leadership(u),
            35 | 36 => self.change_membership(u),
            37 | 38 => self.answer_entry_read(u),
            _ => self.other_event(u),
        }
    }

    /// Time passes, jumps, or seems to go back.
    fn advance_time(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let steps = u64::from(u.arbitrary::<u8>()?);
        let at = match steps {
            0 => Time(u.arbitrary()?),
            1 => Time(self.now.0.saturating_sub(1)),
            _ => self.now.after(Duration::from_millis(steps * 5)),
        };
        self.step_at(at, Input::Tick);
        Ok(())
    }

    fn reach_deadline(&mut self) -> Result<()> {
        if self.wake_at != Time::NEVER {
            self.now = self.now.max(self.wake_at);
        }
        self.step(Input::Tick);
        Ok(())
    }

    fn persist_writes(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let count = match u.int_in_range(0..=3u8)? {
            0 => usize::MAX,
            some => usize::from(some),
        };
        self.persist(count);
        Ok(())
    }

    fn propose(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut commands = Vec::new();
        for _ in 0..u.int_in_range(0..=4u8)? {
            commands.push(Bytes::from(vec![7; u.int_in_range(0..=9)?]));
        }
        let commands = Commands::from(commands);
        let id = RequestId(1);
        self.step(Input::Propose { id, commands });
        Ok(())
    }

    fn read(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mode = *u.choose(&[ReadMode::Quorum, ReadMode::Quorum, ReadMode::Lease])?;
        let id = self.new_request();
        self.step(Input::Read { id, mode });
        Ok(())
    }

    fn transfer_leadership(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let target = if u.ratio(1, 3)? {
            None
        } else {
            Some(self.any_node(u)?)
        };
        let id = self.new_request();
        self.step(Input::TransferLeadership { id, target });
        Ok(())
    }

    fn change_membership(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let change = choices::any_change(u)?;
        let id = RequestId(1);
        self.step(Input::ChangeMembership { id, change });
        Ok(())
    }

    /// The storage answers a read of entries: with those entries, with others, or with none.
    fn answer_entry_read(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some(EntryRead { peer, from, to }) = self.entry_reads.pop_front() else {
            return Ok(());
        };
        let entries = match u.int_in_range(0..=3u8)? {
            0 => None,
            1 => Some(self.entries_after(u, from, self.raft.term())?),
            _ => self.disk.read(from.index, to.index),
        };
        self.step(Input::EntriesRead {
            peer,
            from,
            entries,
        });
        Ok(())
    }

    fn receive_any(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let from = self.any_node(u)?;
        let message = self.any_message(u)?;
        self.step(Input::Receive {
            from,
            message,
            incarnation: None,
        });
        Ok(())
    }

    /// The node that leads, or one that could lead from now on, and its term.
    fn some_leader(&self, u: &mut Unstructured<'_>) -> Result<(NodeId, Term)> {
        let term = self.raft.term();
        let peer = self.any_peer(u)?;
        let deposed = u.ratio(1, 8)?;
        Ok(match self.raft.leader() {
            Some(leader) if leader != NODE && !deposed => (leader, term),
            None if term > Term(0) && !deposed => (peer, term),
            Some(_) | None => (peer, term.next()),
        })
    }

    /// An append that, as far as the node can tell, a correct leader sent.
    fn receive_append(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (from, term) = self.some_leader(u)?;
        let last = self.raft.last_log();
        let back = u64::from(u.int_in_range(0..=15u8)?.saturating_sub(10));
        let index = Index(last.index.0.saturating_sub(back));
        let prev_log = match self.raft.term_at(index) {
            Some(term) => EntryId { index, term },
            None => last,
        };
        let entries = self.entries_after(u, prev_log, term)?;
        let end = entries.last_id().unwrap_or(prev_log).index;
        let leader_commit = match u.int_in_range(0..=3u8)? {
            0 => Index::ZERO,
            1 => self.raft.commit_index(),
            2 => end,
            _ => Index(end.0.saturating_sub(2)),
        };
        let choice = u64::from(u.arbitrary::<u8>()?);
        let message = Message::AppendEntries(AppendEntries {
            term,
            prev_log,
            leader_commit,
            entries,
            round: choice % 4,
            revoked: choice / 64 % 2,
            promise_millis: 0,
            lineage: Lineage::Unknown,
        });
        self.step(Input::Receive {
            from,
            message,
            incarnation: None,
        });
        Ok(())
    }

    /// An answer to one of the last messages sent, which may have been answered before.
    fn receive_answer(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.sent.is_empty() {
            return Ok(());
        }
        let at = u.choose_index(self.sent.len())?;
        let PeerMessage { peer, message } = self.sent[at].clone();
        let from = peer;
        let answer = if u.ratio(3, 4)? {
            good_answer(&message)
        } else {
            self.bad_answer(u, &message)?
        };
        if let Some(message) = answer {
            self.step(Input::Receive {
                from,
                message,
                incarnation: None,
            });
        }
        Ok(())
    }

    fn receive_all_answers(&mut self) -> Result<()> {
        for request in std::mem::take(&mut self.sent) {
            let from = request.peer;
            if let Some(message) = good_answer(&request.message) {
                self.step(Input::Receive {
                    from,
                    message,
                    incarnation: None,
                });
            }
        }
        Ok(())
    }

    fn receive_vote_request(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let from = self.any_peer(u)?;
        let own = self.raft.term();
        let term = if u.ratio(3, 4)? { own.next() } else { own };
        let last_log = if u.ratio(3, 4)? {
            self.raft.last_log()
        } else {
            self.any_entry(u)?
        };
        let message = Message::RequestVote(RequestVote {
            term,
            last_log,
            campaign: choices::any_campaign(u)?,
            lineage: Lineage::Unknown,
        });
        self.step(Input::Receive {
            from,
            message,
            incarnation: None,
        });
        Ok(())
    }

    fn report_applied(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let behind = u64::from(u.arbitrary::<u8>()? % 4);
        let index = Index(self.handed_out.0.saturating_sub(behind));
        self.step(Input::Applied { index });
        Ok(())
    }

    /// The service has made a snapshot.
    fn compact(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let behind = u64::from(u.arbitrary::<u8>()? % 8);
        let index = Index(self.handed_out.0.saturating_sub(behind));
        let Some(term) = self.raft.term_at(index).filter(|term| *term > Term(0)) else {
            return Ok(());
        };
        let (snapshot, bytes) = snapshot_of(EntryId { index, term }, u.int_in_range(0..=40)?);
        // A driver reports each snapshot once.
        if self.disk.snapshots.insert(snapshot, bytes).is_none() {
            self.step(Input::Compact { snapshot });
        }
        Ok(())
    }

    /// A chunk as a correct leader sends it: from the offset that the node wanted.
    fn receive_chunk(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (from, term) = self.some_leader(u)?;
        if let Some(PeerMessage { peer, message }) = self.sent.back()
            && *peer == from
            && let Message::InstallSnapshotReply(reply) = message
            && let Some(transfer) = &mut self.transfer
            && let SnapshotOutcome::Wants { offset } = reply.outcome
            && reply.last == transfer.snapshot.id.last
        {
            transfer.offset = offset;
        }
        if self.transfer.is_none() || u.ratio(1, 8)? {
            let ahead = 1 + u64::from(u.arbitrary::<u8>()? % 8);
            let index = self.raft.commit_index().plus(ahead);
            let last_term = self.raft.term_at(index).unwrap_or(term);
            let last = EntryId {
                index,
                term: last_term,
            };
            let (id, _) = snapshot_of(last, u.int_in_range(0..=40)?);
            let membership = self.raft.membership().clone();
            self.transfer = Some(Transfer {
                snapshot: SnapshotMeta { id, membership },
                offset: 0,
            });
        }
        let Some(Transfer { snapshot, offset }) = self.transfer.clone() else {
            return Ok(());
        };
        let (_, bytes) = snapshot_of(snapshot.id.last, snapshot.id.size as u8);
        let start = usize::try_from(offset).unwrap_or(0).min(bytes.len());
        let end = bytes.len().min(start + u.int_in_range(1..=40)?);
        let message = Message::InstallSnapshot(Box::new(InstallSnapshot {
            term,
            snapshot,
            offset,
            data: bytes.slice(start..end),
        }));
        self.step(Input::Receive {
            from,
            message,
            incarnation: None,
        });
        Ok(())
    }

    /// The driver reports that it read or wrote a chunk, or that it could not.
    fn answer_snapshot_io(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if let Some(read) = self.reads.pop_front() {
            let ChunkRead {
                peer,
                snapshot,
                offset,
                length,
            } = read;
            let bytes = self.disk.snapshots.get(&snapshot);
            let bytes = bytes.filter(|_| self.is_readable(snapshot));
            let result = match (u.int_in_range(0..=7u8)?, bytes) {
                (0, _) | (_, None) => Err(SnapshotReadFailed::Gone),
                (1, _) => Err(SnapshotReadFailed::Failed),
                (2, Some(_)) => Ok(Bytes::from_static(b"not so many")),
                (_, Some(bytes)) => Ok(bytes.slice(offset as usize..(offset + length) as usize)),
            };
            self.step(Input::SnapshotRead {
                peer,
                snapshot,
                offset,
                result,
            });
        }
        if let Some(write) = self.chunks.pop_front() {
            let ChunkWrite {
                snapshot,
                offset,
                data,
            } = write;
            let result = if u.ratio(1, 8)? {
                self.disk.lose_chunk();
                Err(SnapshotWriteFailed)
            } else {
                self.disk.write_chunk(snapshot, offset, &data)
            };
            self.step(Input::SnapshotWritten {
                snapshot,
                offset,
                result,
            });
        }
        Ok(())
    }

    /// The driver reports what its contract forbids, or that a write has failed.
    fn break_contract(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let beyond = self.disk.last_seq.next();
        let (id, _) = snapshot_of(self.any_entry(u)?, 20);
        let input = match u.int_in_range(0..=6u8)? {
            0 => Input::Persisted { seq: beyond },
            1 => Input::Persisted { seq: Seq(u64::MAX) },
            2 => Input::Applied {
                index: self.handed_out.next().max(self.any_index(u)?),
            },
            3 => Input::SnapshotRead {
                peer: self.any_node(u)?,
                snapshot: id,
                offset: u.arbitrary()?,
                result: Ok(Bytes::new()),
            },
            4 => Input::SnapshotWritten {
                snapshot: id,
                offset: u.arbitrary()?,
                result: Err(SnapshotWriteFailed),
            },
            5 => Input::PersistFailed { seq: beyond },
            _ => match self.disk.waiting.front() {
                Some(write) => Input::PersistFailed { seq: write.seq },
                None => Input::Persisted { seq: Seq(0) },
            },
        };
        self.step(input);
        Ok(())
    }

    /// A crash, before which some of the unreported writes took effect.
    fn crash(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.write(usize::from(u.arbitrary::<u8>()? % 4));
        self.restart();
        Ok(())
    }

    /// A message arrives twice, a checkpoint is taken, or the disk becomes fast or slow.
    fn other_event(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=5u8)? {
            3..=5 => return self.operator_request(u),
            0 => {
                if let Some(PeerMessage { peer, message }) = self.received.clone() {
                    let from = peer;
                    self.step(Input::Receive {
                        from,
                        message,
                        incarnation: None,
                    });
                }
            }
            1 => self.check_checkpoint(),
            _ => self.writes = self.writes.other(),
        }
        Ok(())
    }
}
