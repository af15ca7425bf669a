//! Inputs and actions as text, the same in golden tests, simulators and drivers.
//!
//! One fact a line: the node and its term, then what happened. Entries are `index@term`, writes
//! `#seq`, and payloads are shown as their length. ASCII only.
//!
//! ```text
//! n1@5 candidate
//! n1@5 persist #7 term=5 vote=n1
//! n1@5 persisted #7
//! n1@5 -> n2 RequestVote last=7@4
//! n2@5 <- n1 RequestVote last=7@4
//! n2@5 -> n1 RequestVoteReply granted
//! ```
//!
//! Simulators and tests add what happens outside the core in brackets: `(dropped)`.

use crate::action::{Action, InstalledLog, Write};
use crate::entries::Entries;
use crate::event::{Input, ReadMode};
use crate::message::{
    AppendOutcome, Campaign, Dismissal, Lineage, Message, ReadOutcome, SnapshotId, SnapshotOutcome,
    Vote,
};
use crate::trace_requests::{Changes, done_or_failed, outcome};
use crate::types::{Index, NodeId, Term};
use core::fmt::{self, Display, Formatter};

/// A node and its term: how each line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeAtTerm {
    /// The node.
    pub node: NodeId,
    /// Its term: before the step for an input, after it for an action.
    pub term: Term,
}

impl Display for NodeAtTerm {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.node, self.term)
    }
}

/// An input as a line.
///
/// ```
/// use raft_proto::{Input, NodeId, Seq, Term, trace};
///
/// let node_at_term = trace::NodeAtTerm { node: NodeId(1), term: Term(5) };
/// let line = trace::input(node_at_term, &Input::Persisted { seq: Seq(7) }).to_string();
/// assert_eq!(line, "n1@5 persisted #7");
/// ```
pub fn input(node_at_term: NodeAtTerm, input: &Input) -> impl Display + '_ {
    Line {
        node_at_term,
        what: input,
    }
}

/// An action as a line.
///
/// ```
/// use raft_proto::{Action, NodeId, Term, Time, trace};
///
/// let node_at_term = trace::NodeAtTerm { node: NodeId(1), term: Term(5) };
/// let line = trace::action(node_at_term, &Action::WakeAt(Time(1_500_000_000))).to_string();
/// assert_eq!(line, "n1@5 wake at 1.500000");
/// ```
pub fn action(node_at_term: NodeAtTerm, action: &Action) -> impl Display + '_ {
    Line {
        node_at_term,
        what: action,
    }
}

struct Line<'a, T> {
    node_at_term: NodeAtTerm,
    what: &'a T,
}

impl Display for Line<'_, Input> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line {
            node_at_term,
            what: input,
        } = self;
        write!(f, "{node_at_term} ")?;
        match input {
            Input::Tick => f.write_str("tick"),
            Input::Receive { from, message, .. } => write!(f, "<- {from} {}", Contents(message)),
            Input::Propose { id, commands } => {
                let bytes: usize = commands.iter().map(<[u8]>::len).sum();
                let amount = Amount {
                    count: commands.len(),
                    bytes: bytes as u64,
                };
                write!(f, "propose {id} {amount}")
            }
            Input::Persisted { seq } => write!(f, "persisted {seq}"),
            Input::PersistFailed { seq } => write!(f, "persist failed {seq}"),
            Input::Applied { index } => write!(f, "applied {index}"),
            Input::Compact { snapshot } => write!(f, "compact {}", Snapshot(snapshot)),
            Input::SnapshotRead {
                peer,
                snapshot,
                offset,
                result,
            } => {
                write!(
                    f,
                    "snapshot read for {peer} {} at {offset}",
                    Snapshot(snapshot)
                )?;
                done_or_failed(f, result, |f, data| write!(f, " {}B", data.len()))
            }
            Input::SnapshotWritten {
                snapshot,
                offset,
                result,
            } => {
                write!(f, "snapshot written {} at {offset}", Snapshot(snapshot))?;
                done_or_failed(f, result, |_, ()| Ok(()))
            }
            Input::Read { id, mode } => match mode {
                ReadMode::Quorum => write!(f, "read {id}"),
                ReadMode::Lease => write!(f, "read {id} under lease"),
            },
            Input::TransferLeadership { id, target } => match target {
                Some(target) => write!(f, "transfer {id} to {target}"),
                None => write!(f, "transfer {id}"),
            },
            Input::ChangeMembership { id, change } => write!(f, "change {id}{}", Changes(change)),
            Input::EntriesRead {
                peer,
                from,
                entries,
            } => match entries {
                Some(entries) => write!(f, "entries read for {peer} {}", Range(entries)),
                None => write!(f, "entries read for {peer} from {from} failed"),
            },
            Input::Unreachable { peer } => write!(f, "unreachable {peer}"),
            Input::Campaign { id } => write!(f, "campaign {id}"),
            Input::Reconfigure { id, .. } => write!(f, "reconfigure {id}"),
            Input::StepDown { id } => write!(f, "step down {id}"),
        }
    }
}

impl Display for Line<'_, Action> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line {
            node_at_term,
            what: action,
        } = self;
        write!(f, "{node_at_term} ")?;
        match action {
            Action::Send { to, message } => write!(f, "-> {to} {}", Contents(message)),
            Action::Persist(write) => persist(f, write),
            Action::Apply { entries } => write!(f, "apply {}", Range(entries)),
            Action::Restore { .. }
            | Action::ReadSnapshot { .. }
            | Action::WriteSnapshot { .. }
            | Action::ReleaseSnapshot { .. }
            | Action::SnapshotDamaged { .. } => snapshot_action(f, action),
            Action::WakeAt(at) => write!(f, "wake at {at}"),
            Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::Reconfigured { .. }
            | Action::SteppedDown { .. } => outcome(f, action),
            Action::MembershipChanged { index, membership } => {
                write!(f, "membership of {index} is {membership}")
            }
            Action::ReadEntries {
                peer,
                from,
                to,
                max_bytes,
            } => write!(f, "read entries for {peer} {from}..{to} up to {max_bytes}B"),
            // The line's own term differs if the step began yet another one.
            Action::RoleChanged { role, term } => write!(f, "becomes {role} in term {term}"),
            Action::LeaderChanged { leader, term } => match leader {
                Some(leader) => write!(f, "leader of term {term} is {leader}"),
                None => write!(f, "leader of term {term} is unknown"),
            },
            Action::Rejected { from, reason } => write!(f, "rejected from {from}: {reason}"),
            Action::Refused { reason } => write!(f, "refused: {reason}"),
            Action::LostState {
                peer,
                match_index,
                last,
            } => write!(f, "lost state: {peer} had {match_index}, has {last}"),
            Action::EntryRefused {
                peer,
                index,
                size,
                limit,
            } => write!(f, "{peer} cannot take {index}: {size}B, takes {limit}B"),
            Action::Removed { index } => write!(f, "no member any more at {index}"),
            Action::ForeignIncarnation(found) => write!(f, "{found}"),
            Action::Replaced { index, named } => {
                write!(f, "replaced by the storage {named} at {index}")
            }
            Action::Faulted { reason } => write!(f, "faulted: {reason}"),
            Action::Overdue(waiting) => write!(f, "overdue: {}", waiting.what),
        }
    }
}

/// What is asked for a snapshot, or told of it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all kinds are listed where an action is written"
)]
fn snapshot_action(f: &mut Formatter<'_>, action: &Action) -> fmt::Result {
    match action {
        Action::Restore { snapshot } => {
            let (id, membership) = (Snapshot(&snapshot.id), &snapshot.membership);
            write!(f, "restore {id} {membership}")
        }
        Action::ReadSnapshot {
            peer,
            snapshot,
            offset,
            length,
        } => {
            let id = Snapshot(snapshot);
            write!(f, "read snapshot for {peer} {id} at {offset} {length}B")
        }
        Action::WriteSnapshot {
            snapshot,
            offset,
            data,
        } => {
            let (id, length) = (Snapshot(snapshot), data.len());
            write!(f, "write snapshot {id} at {offset} {length}B")
        }
        Action::ReleaseSnapshot { snapshot } => {
            write!(f, "release snapshot {}", Snapshot(snapshot))
        }
        Action::SnapshotDamaged { snapshot } => {
            write!(f, "snapshot damaged {}", Snapshot(snapshot))
        }
        _ => Ok(()), // Only actions with a snapshot come here.
    }
}

fn persist(f: &mut Formatter<'_>, write: &Write) -> fmt::Result {
    write!(f, "persist {}", write.seq)?;
    if let Some(identity) = &write.identity {
        write!(f, " identity={}/{}", identity.cluster_id, identity.node_id)?;
        write!(f, " bootstrap={}", identity.bootstrap)?;
    }
    if let Some(hard_state) = &write.hard_state {
        write!(f, " term={}", hard_state.term)?;
        if let Some(voted_for) = hard_state.voted_for {
            write!(f, " vote={voted_for}")?;
        }
    }
    if let Some(install) = &write.install {
        write!(f, " install {}", Snapshot(&install.snapshot.id))?;
        f.write_str(match install.log {
            InstalledLog::KeepsTail => " keep tail",
            InstalledLog::IsDropped => " drop log",
        })?;
    }
    if let Some(compact) = &write.compact {
        write!(f, " compact {}", Snapshot(&compact.snapshot.id))?;
        write!(f, " drop through {}", compact.drop_through)?;
    }
    if !write.entries.is_empty() {
        write!(f, " {}", Range(&write.entries))?;
    }
    Ok(())
}

/// A message without its addresses and term.
struct Contents<'a>(&'a Message);

impl Display for Contents<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let message = self.0;
        f.write_str(message.kind().name())?;
        match message {
            Message::RequestVote(request) => {
                write!(f, " last={}", request.last_log)?;
                campaign(f, request.campaign)?;
                lineage(f, request.lineage)?;
            }
            Message::RequestVoteReply(reply) => f.write_str(match reply.vote {
                Vote::Granted => " granted",
                Vote::Refused => " refused",
            })?,
            Message::AppendEntries(request) => {
                write!(
                    f,
                    " prev={} commit={}",
                    request.prev_log, request.leader_commit
                )?;
                if !request.entries.is_empty() {
                    write!(f, " {}", Range(&request.entries))?;
                }
                round(f, request.round)?;
                if request.revoked > 0 {
                    write!(f, " revoked={}", request.revoked)?;
                }
            }
            Message::AppendEntriesReply(reply) => {
                append_outcome(f, &reply.outcome)?;
                round(f, reply.round)?;
            }
            Message::PreVote(request) => {
                write!(f, " last={}", request.last_log)?;
                campaign(f, request.campaign)?;
                lineage(f, request.lineage)?;
            }
            Message::PreVoteReply(reply) => {
                f.write_str(match reply.vote {
                    Vote::Granted => " granted",
                    Vote::Refused => " refused",
                })?;
                write!(f, " asked={}", reply.asked)?;
                dismissal(f, reply.dismissal)?;
            }
            Message::TimeoutNow(request) => write!(f, " transfer={}", request.transfer)?,
            Message::ReadIndex(request) => read_number(f, request.number, request.stored)?,
            Message::ReadIndexReply(reply) => {
                read_number(f, reply.number, reply.stored)?;
                match reply.outcome {
                    ReadOutcome::Ready { index } => write!(f, " ready at {index}")?,
                    ReadOutcome::Refused => f.write_str(" refused")?,
                }
            }
            Message::InstallSnapshot(request) => {
                let (id, length) = (&request.snapshot.id, request.data.len());
                write!(f, " {} at {} {length}B", Snapshot(id), request.offset)?;
            }
            Message::InstallSnapshotReply(reply) => {
                write!(f, " {}", reply.last)?;
                match reply.outcome {
                    SnapshotOutcome::Wants { offset } => write!(f, " wants {offset}")?,
                    SnapshotOutcome::Installed => f.write_str(" installed")?,
                    SnapshotOutcome::Stale => f.write_str(" stale")?,
                    SnapshotOutcome::Damaged => f.write_str(" damaged")?,
                }
            }
        }
        write!(f, " term={}", message.term())
    }
}

/// Why the sender of the request could never win.
fn dismissal(f: &mut Formatter<'_>, dismissal: Option<Dismissal>) -> fmt::Result {
    match dismissal {
        Some(Dismissal::Removed { index }) => write!(f, " removed at {index}"),
        Some(Dismissal::OtherIncarnation { index, named }) => {
            write!(f, " replaced by {named} at {index}")
        }
        Some(Dismissal::OtherFounders) => f.write_str(" other founders"),
        None => Ok(()),
    }
}

/// Where a candidate's log comes from, if it says so.
fn lineage(f: &mut Formatter<'_>, lineage: Lineage) -> fmt::Result {
    match lineage {
        Lineage::Unknown => Ok(()),
        Lineage::Founding { founders } => write!(f, " founding {founders:08x}"),
        Lineage::Of(history) => write!(f, " history={history}"),
    }
}

/// Why a candidate campaigns, if the leader asked it to.
fn campaign(f: &mut Formatter<'_>, campaign: Campaign) -> fmt::Result {
    match campaign {
        Campaign::Election => Ok(()),
        Campaign::Transfer { number } => write!(f, " transfer={number}"),
    }
}

/// What tells a read index from others.
fn read_number(f: &mut Formatter<'_>, number: u64, stored: Index) -> fmt::Result {
    write!(f, " #{number:x}")?;
    match stored {
        Index::ZERO => Ok(()),
        _ => write!(f, " stored={stored}"),
    }
}

/// The round of a message; most have none.
fn round(f: &mut Formatter<'_>, round: u64) -> fmt::Result {
    match round {
        0 => Ok(()),
        _ => write!(f, " round={round}"),
    }
}

fn append_outcome(f: &mut Formatter<'_>, outcome: &AppendOutcome) -> fmt::Result {
    match outcome {
        AppendOutcome::Accepted {
            match_index,
            received,
        } if match_index == received => write!(f, " match={match_index}"),
        AppendOutcome::Accepted {
            match_index,
            received,
        } => write!(f, " match={match_index} received={received}"),
        AppendOutcome::Rejected {
            prev_log_index,
            hint,
        } => write!(f, " rejected prev={prev_log_index} hint={hint}"),
        AppendOutcome::Lost {
            prev_log_index,
            hint,
        } => write!(f, " lost prev={prev_log_index} hint={hint}"),
        AppendOutcome::Stale => f.write_str(" stale"),
    }
}

struct Snapshot<'a>(&'a SnapshotId);

impl Display for Snapshot<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let SnapshotId {
            last,
            size,
            checksum,
        } = self.0;
        write!(f, "{last}/{size}B/{checksum:08x}")
    }
}

/// Entries as `first..last`, with their number and bytes of payload.
struct Range<'a>(&'a Entries);

impl Display for Range<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let entries = self.0;
        let count = entries.len();
        let bytes = entries.bytes() - count as u64 * crate::ENTRY_OVERHEAD;
        match (entries.iter().next(), entries.last_id()) {
            (Some(first), Some(last)) if count > 1 => {
                let amount = Amount { count, bytes };
                write!(f, "entries {}..{last} {amount}", first.id())
            }
            (Some(first), _) => write!(f, "entry {} {} {bytes}B", first.id(), first.kind()),
            (None, _) => f.write_str("no entries"),
        }
    }
}

/// A number of things and their bytes.
struct Amount {
    count: usize,
    bytes: u64,
}

impl Display for Amount {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "x{} {}B", self.count, self.bytes)
    }
}
