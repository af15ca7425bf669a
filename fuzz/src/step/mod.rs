//! Any sequence of events, honest and hostile, to one node in any role: no panic, and what a
//! node promises holds after each step.
//!
//! The bytes choose what happens next: time passes, a leader or a voter speaks as a correct one
//! would, or anybody says anything; the disk lags behind, fails, or loses what was not reported
//! in a restart. The model around the node ([`world`], [`disk`]) knows what is durable, and
//! checks what the node says against it.

mod answers;
mod choices;
mod disk;
mod world;

use answers::good_answer;
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use choices::{NODE, snapshot_of};
use raft_proto::*;
use std::time::Duration;
use world::World;

/// Runs the events that `data` describes.
pub fn run(data: &[u8]) {
    // The only error is the end of the data.
    let _ = live(&mut Unstructured::new(data));
}

fn live(u: &mut Unstructured<'_>) -> Result<()> {
    let config = choices::config(u)?;
    let recovered = choices::recovered(u, &config)?;
    let mut world = World::new(config, recovered);
    world.instant = u.arbitrary()?;
    world.step(Input::Tick);
    while !u.is_empty() {
        world.happen(u)?;
    }
    world.checkpoint()
}

impl World {
    /// The next thing that happens.
    fn happen(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=38u8)? {
            0 | 1 => self.pass(u),
            2..=4 => self.reach_deadline(),
            5 | 6 => self.persist_some(u),
            7 | 8 => self.propose(u),
            9..=11 => self.hear(u),
            12..=15 => self.hear_leader(u),
            16..=18 => self.hear_answer(u),
            19 | 20 => self.hear_all_answers(),
            21 => self.hear_candidate(u),
            22 => self.applied(u),
            23 => self.compact(u),
            24 | 25 => self.hear_chunk(u),
            26 | 27 => self.finish_chunk(u),
            28 => {
                let peer = self.any_node(u)?;
                self.step(Input::Unreachable { peer });
                Ok(())
            }
            29 => self.misuse(u),
            30 => self.crash(u),
            32 | 33 => self.read(u),
            34 => self.transfer(u),
            35 | 36 => self.change(u),
            37 | 38 => self.read_entries(u),
            _ => self.rest(u),
        }
    }

    /// Time passes, or jumps, or seems to go back.
    fn pass(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
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

    fn persist_some(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
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

    fn transfer(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let target = match u.ratio(1, 3)? {
            true => None,
            false => Some(self.any_node(u)?),
        };
        let id = self.new_request();
        self.step(Input::TransferLeadership { id, target });
        Ok(())
    }

    fn change(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let change = choices::any_change(u)?;
        let id = RequestId(1);
        self.step(Input::ChangeMembership { id, change });
        Ok(())
    }

    /// The storage answers for entries: with them, with others, or not.
    fn read_entries(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some((peer, from, to)) = self.entry_reads.pop_front() else {
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

    fn hear(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let from = self.any_node(u)?;
        let message = self.any_message(u)?;
        self.step(Input::Receive { from, message });
        Ok(())
    }

    /// Who leads, or could from now on; and in which term.
    fn a_leader(&self, u: &mut Unstructured<'_>) -> Result<(NodeId, Term)> {
        let term = self.raft.term();
        let peer = self.any_peer(u)?;
        let deposed = u.ratio(1, 8)?;
        Ok(match self.raft.leader() {
            Some(leader) if leader != NODE && !deposed => (leader, term),
            None if term > Term(0) && !deposed => (peer, term),
            Some(_) | None => (peer, term.next()),
        })
    }

    /// An append as a correct leader sends it, so far as the node can tell.
    fn hear_leader(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (from, term) = self.a_leader(u)?;
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
        let message = Message::AppendEntries(AppendEntries {
            term,
            prev_log,
            leader_commit,
            entries,
            round: u64::from(u.arbitrary::<u8>()? % 4),
        });
        self.step(Input::Receive { from, message });
        Ok(())
    }

    /// An answer to one of the last messages sent: now, again, or for the first time.
    fn hear_answer(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.sent.is_empty() {
            return Ok(());
        }
        let at = u.choose_index(self.sent.len())?;
        let (from, request) = self.sent[at].clone();
        let good = u.ratio(3, 4)?;
        let answer = match good {
            true => good_answer(&request),
            false => self.bad_answer(u, &request)?,
        };
        if let Some(message) = answer {
            self.step(Input::Receive { from, message });
        }
        Ok(())
    }

    fn hear_all_answers(&mut self) -> Result<()> {
        for (from, request) in std::mem::take(&mut self.sent) {
            if let Some(message) = good_answer(&request) {
                self.step(Input::Receive { from, message });
            }
        }
        Ok(())
    }

    fn hear_candidate(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let from = self.any_peer(u)?;
        let own = self.raft.term();
        let term = match u.ratio(3, 4)? {
            true => own.next(),
            false => own,
        };
        let last_log = match u.ratio(3, 4)? {
            true => self.raft.last_log(),
            false => self.any_entry(u)?,
        };
        let message = Message::RequestVote(RequestVote {
            term,
            last_log,
            campaign: *u.choose(&[Campaign::Election, Campaign::Transfer])?,
        });
        self.step(Input::Receive { from, message });
        Ok(())
    }

    fn applied(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
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
        // A driver tells of each snapshot once.
        if self.disk.snapshots.insert(snapshot, bytes).is_none() {
            self.step(Input::Compact { snapshot });
        }
        Ok(())
    }

    /// A chunk as a correct leader sends it: from where the node wanted it.
    fn hear_chunk(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (from, term) = self.a_leader(u)?;
        if let Some((to, Message::InstallSnapshotReply(reply))) = self.sent.back()
            && *to == from
            && let Some((snapshot, wanted)) = &mut self.transfer
            && let SnapshotOutcome::Wants { offset } = reply.outcome
            && reply.last == snapshot.id.last
        {
            *wanted = offset;
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
            self.transfer = Some((SnapshotMeta { id, membership }, 0));
        }
        let Some((snapshot, offset)) = self.transfer.clone() else {
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
        self.step(Input::Receive { from, message });
        Ok(())
    }

    /// A chunk has been read or written, or not.
    fn finish_chunk(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if let Some((peer, snapshot, offset, length)) = self.reads.pop_front() {
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
        if let Some((snapshot, offset, data)) = self.chunks.pop_front() {
            let result = match u.ratio(1, 8)? {
                true => Err(SnapshotWriteFailed),
                false => {
                    self.disk.write_chunk(snapshot, offset, &data);
                    Ok(())
                }
            };
            self.step(Input::SnapshotWritten {
                snapshot,
                offset,
                result,
            });
        }
        Ok(())
    }

    /// What a driver must not say, or says at the end.
    fn misuse(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
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

    /// A crash: of the writes not reported, some happened.
    fn crash(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.write(usize::from(u.arbitrary::<u8>()? % 4));
        self.restart();
        Ok(())
    }

    fn rest(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=2u8)? {
            0 => {
                if let Some((from, message)) = self.received.clone() {
                    self.step(Input::Receive { from, message });
                }
            }
            1 => self.checkpoint()?,
            _ => self.instant = !self.instant,
        }
        Ok(())
    }
}
