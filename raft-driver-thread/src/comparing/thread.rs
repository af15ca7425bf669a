//! The thread that asks the other members for their digests, and fetches a state in place of a
//! wrong one.

use super::{Fetched, fetch_snapshot, note_origin};
use crate::error::StartError;
use crate::mailbox::Mailbox;
use crate::observed::NodeEvent;
use crate::options::CompareOptions;
use crate::shared::Shared;
use crate::state_machine::StateMachine;
use crate::tasks::{CoreTask, SetAside};
use crate::threads::Threads;
use crate::transport::Fetcher;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use raft_proto::comparison::{Noted, Verdict, agreed, compare};
use raft_proto::mending::{FetchReply, Request};
use raft_proto::{EntryId, Membership, NodeId};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// As long as it exists, the thread runs.
pub(crate) type CompareGuard = Sender<Infallible>;

/// The pause before a peer that has no snapshot yet is asked again.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct CompareThread<M: StateMachine> {
    pub(crate) options: CompareOptions,
    pub(crate) fetcher: Arc<dyn Fetcher>,
    pub(crate) shared: Shared<M>,
}

impl<M: StateMachine> CompareThread<M> {
    /// Starts the thread. It runs until the guard is dropped.
    pub(crate) fn start(self, threads: &mut Threads<M>) -> Result<CompareGuard, StartError> {
        let (guard, until) = bounded(0);
        let _: Mailbox<Infallible> = threads.start_worker("raft-compare", move |_, _| {
            self.run(&until);
        })?;
        Ok(guard)
    }

    fn run(self, until: &Receiver<Infallible>) {
        while has_waited(until, self.options.pause) {
            let Some(membership) = self.membership(until) else {
                return;
            };
            self.forget_removed(&membership);
            let verdict = self.compare(&membership);
            self.tell(&verdict);
            if let Verdict::Diverged { after, majority } = verdict {
                self.shared.replica.diverged(after);
                self.shared.metrics.diverged(true);
                if self.replace(&majority, until).is_none() {
                    return; // The node has stopped.
                }
                self.shared.metrics.diverged(false);
            }
        }
    }

    /// The members now; `None` if the node has stopped.
    fn membership(&self, until: &Receiver<Infallible>) -> Option<Membership> {
        let (reply, replied) = bounded(1);
        self.shared.core.send(CoreTask::Membership(reply)).ok()?;
        loop {
            match replied.recv_timeout(PAUSE) {
                Ok(membership) => return Some(membership),
                Err(RecvTimeoutError::Timeout) if has_waited(until, Duration::ZERO) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Nobody who is no member is asked again. What was found of them would stand for ever.
    fn forget_removed(&self, membership: &Membership) {
        let is_member = |node: &NodeId| membership.get(*node).is_some();
        let replica = &self.shared.replica;
        let has_changed = replica.find(|found| {
            found.differing.retain(is_member);
            found.copies.retain(is_member);
        });
        if has_changed {
            let differing = replica.found().differing.len();
            self.shared.metrics.compared(None, differing);
        }
    }

    fn compare(&self, membership: &Membership) -> Verdict {
        let replica = &self.shared.replica;
        let members = membership.members().iter().map(|member| member.id);
        let peers = members.filter(|member| *member != self.shared.id);
        let answers: Vec<(NodeId, Noted)> = peers
            .filter_map(|peer| Some((peer, self.ask(peer)?)))
            .collect();
        self.learn_origin(&answers);
        let digests = |(peer, noted): (NodeId, Noted)| (peer, noted.digests);
        let others: Vec<_> = answers.into_iter().map(digests).collect();
        // After the others: what they have noted, this node has by now, too, unless it lags behind.
        let own = replica.own();
        if let Some(after) = agreed(membership, self.shared.id, &own.digests, &others) {
            replica.agreed(after, &own);
        }
        compare(membership, self.shared.id, &own.digests, &others)
    }

    /// What a peer has noted; `None` if it notes nothing, or was not reached.
    fn ask(&self, peer: NodeId) -> Option<Noted> {
        match self.fetcher.fetch(peer, &Request::Noted) {
            FetchReply::Noted(noted) => return Some(noted),
            // It may be of an earlier release.
            FetchReply::HaveNot => {}
            FetchReply::Digests(_)
            | FetchReply::Entries(_)
            | FetchReply::Snapshot(_)
            | FetchReply::Chunk(_)
            | FetchReply::Unreachable => return None,
        }
        let FetchReply::Digests(digests) = self.fetcher.fetch(peer, &Request::Digests) else {
            return None;
        };
        Some(Noted {
            digests,
            snapshots: Vec::new(),
        })
    }

    /// The leader has sent a snapshot, and one of these may know whose work it is.
    fn learn_origin(&self, answers: &[(NodeId, Noted)]) {
        let replica = &self.shared.replica;
        let Some(snapshot) = replica.unknown() else {
            return;
        };
        let mut known = answers.iter().flat_map(|(_, noted)| &noted.snapshots);
        if let Some(found) = known.find(|it| it.snapshot == snapshot) {
            replica.learn(snapshot, found.origin);
            note_origin(snapshot, Some(found.origin), &*self.shared.snapshots);
        }
    }

    /// Tells of what is found, once.
    fn tell(&self, verdict: &Verdict) {
        let node = self.shared.id;
        let (is_new, differing) = match verdict {
            Verdict::Nothing => return,
            Verdict::Same { after } => {
                self.shared.replica.find(|found| {
                    found.same_after = Some(*after);
                    found.differing.clear();
                    found.copies.clear();
                });
                self.shared.metrics.compared(Some(after.index), 0);
                return;
            }
            Verdict::OthersDiffer { after, differing } => {
                let is_new = self.differ(differing, &[], Some(*after));
                self.shared
                    .metrics
                    .compared(Some(after.index), differing.len());
                (is_new, differing)
            }
            Verdict::Undecided {
                differing, copies, ..
            } => {
                let is_new = self.differ(differing, copies, None);
                self.shared.metrics.compared(None, differing.len());
                (is_new, differing)
            }
            Verdict::Diverged { after, majority } => {
                tracing::error!(%node, %after, ?majority,
                    "the state of this node is not that of the majority: it is set aside, and \
                     replaced by a snapshot of another node. Look for the reason: a defect of the \
                     state machine, the memory, or the processor");
                let majority = majority.clone();
                let after = *after;
                self.shared
                    .observed
                    .publish(&NodeEvent::Diverged { after, majority });
                return;
            }
        };
        if !is_new {
            return;
        }
        let is_decided = matches!(verdict, Verdict::OthersDiffer { .. });
        if is_decided {
            tracing::error!(%node, ?differing,
                "the states of these nodes are not that of the majority: they replace them by \
                 themselves if they run and compare");
        } else {
            let copies = self.shared.replica.found().copies;
            tracing::error!(%node, ?differing, ?copies,
                "the states of these nodes and of this one differ, and no majority agrees of those \
                 that have come to their state by themselves (copies do not count): all run on. \
                 Start all nodes; if this stays, find out which state is right, let its node lead, \
                 and let those that differ from it join anew with empty folders");
        }
        self.shared.observed.publish(&NodeEvent::ReplicasDiffer {
            differing: differing.clone(),
            is_decided,
        });
    }

    /// Returns whether anything else was found before.
    fn differ(&self, differing: &[NodeId], copies: &[NodeId], same_after: Option<EntryId>) -> bool {
        let before = self.shared.replica.found();
        self.shared.replica.find(|found| {
            found.differing = differing.to_vec();
            found.copies = copies.to_vec();
            found.same_after = same_after.or(found.same_after);
        });
        before.differing != differing || before.copies != copies
    }

    /// Replaces the state by that of one of these, however long it takes. `None` if the node has
    /// stopped.
    fn replace(&self, majority: &[NodeId], until: &Receiver<Infallible>) -> Option<()> {
        let (set_aside, reached) = bounded(1);
        let task = CoreTask::SetStateAside(SetAside { reached: set_aside });
        self.shared.core.send(task).ok()?;
        let last = reached.recv().ok()?;
        let mut attempts: u64 = 0;
        let peers = majority.iter().cycle();
        for peer in peers {
            let ask = |request: &Request| {
                if !has_waited(until, Duration::ZERO) {
                    return FetchReply::HaveNot;
                }
                self.fetcher.fetch(*peer, request)
            };
            match fetch_snapshot(&ask, last.index, &*self.shared.snapshots) {
                Fetched::Snapshot(meta) => {
                    let (done, replaced) = bounded(1);
                    let task = CoreTask::ReplaceState {
                        snapshot: *meta,
                        done,
                    };
                    self.shared.core.send(task).ok()?;
                    // If the state is replaced by the leader meanwhile, that suffices.
                    return replaced.recv().ok();
                }
                Fetched::Later | Fetched::HasNone => {}
                Fetched::Failed(reason) => {
                    tracing::warn!(node = %self.shared.id, %peer, %reason, "a snapshot could not be fetched");
                }
            }
            if !self.shared.replica.is_set_aside() {
                return Some(()); // The leader has sent one.
            }
            attempts += 1;
            if attempts.is_multiple_of(600) {
                tracing::error!(node = %self.shared.id, ?majority,
                    "the state is not used, and no node of the majority gives its own: do they run \
                     a release that compares?");
            }
            if !has_waited(until, PAUSE) {
                return None;
            }
        }
        Some(()) // A majority is never empty.
    }
}

/// Waits so long. Returns whether the node still runs.
fn has_waited(until: &Receiver<Infallible>, time: Duration) -> bool {
    match until.recv_timeout(time) {
        Err(RecvTimeoutError::Timeout) => true,
        Err(RecvTimeoutError::Disconnected) => false,
        Ok(never) => match never {},
    }
}
