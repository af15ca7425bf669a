//! A node whose disk has lost entries in the midst of its log asks its peers for them before it
//! takes part in the protocol. The rules are those of [`raft_proto::mending`]; here they get a
//! transport and a clock.
//!
//! The start of the node waits meanwhile ([`Options::mend_timeout`](crate::Options::mend_timeout)).
//! Its transport runs, so that it can answer peers that fetch entries themselves. Messages of the
//! protocol wait in its inbox, as if the network had delayed them.
//!
//! If those that are reached have not got the entries, as when all have compacted them, a snapshot
//! of one of them is taken instead, if the storage can tell that it stands for all that is lost
//! ([`Storage::adopt`]). So the start waits for peers that are not reached only as long as those
//! that are cannot help.

mod source;

pub(crate) use source::{Held, Source};

use crate::comparing::{Fetched, fetch_snapshot};
use crate::error::StartError;
use crate::inbox::Inbox;
use crate::options::Options;
use crate::storage::{Snapshots, Storage};
use crate::transport::{Fetcher, Transport};
use raft_proto::mending::{Mending, MendingStep, Request};
use raft_proto::{EntryId, Index, NodeId, Time};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pause before peers that were not reached are asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a storage that was incomplete.
#[derive(Debug, Default)]
pub(crate) struct Mended {
    /// The transport was started for it.
    pub(crate) has_started: bool,
    /// How many entries were fetched.
    pub(crate) entries: u64,
    /// The last entry of the snapshot that was fetched in place of entries.
    pub(crate) snapshot: Option<EntryId>,
}

/// Fetches what the storage lacks, if it knows what that is.
pub(crate) fn mend<S: Storage, T: Transport>(
    options: &Options,
    storage: &mut S,
    transport: &mut T,
    source: &Source,
    inbox: &Inbox,
) -> Result<Mended, StartError> {
    let incomplete = storage.incomplete();
    let Some(incomplete) = incomplete.filter(|_| !options.mend_timeout.is_zero()) else {
        return Ok(Mended::default());
    };
    let mut config = options.config.clone();
    config.incarnation = incomplete.identity.incarnation;
    let node = config.node_id;
    let membership = incomplete.membership();
    let snapshots = storage.snapshots();
    source.serve(Held {
        whole: incomplete.whole,
        snapshot: incomplete.snapshot,
        snapshots: snapshots.clone(),
    });
    transport.start(&config, inbox.clone())?;
    transport.set_members(&membership);
    let members = membership.members().iter().map(|member| member.id);
    let peers: Vec<NodeId> = members.filter(|member| *member != node).collect();
    let missing: u64 = incomplete
        .missing
        .iter()
        .flat_map(|missing| &missing.parts)
        .map(|(first, last)| last.since(*first) + 1)
        .sum();
    tracing::warn!(%node, missing, "something is lost: the other nodes are asked for it");
    let deadline = Time(u64::try_from(options.mend_timeout.as_nanos()).unwrap_or(u64::MAX));
    let entries = (missing > 0).then(|| Mending::new(incomplete.missing, peers.clone(), deadline));
    let mut run = Run {
        storage,
        fetcher: transport.fetcher(),
        snapshots,
        at_least: incomplete.snapshot_at_least,
        peers,
        deadline,
        begun: Instant::now(),
    };
    let outcome = run.mend(entries, transport);
    let (entries, snapshot) = match outcome {
        Outcome::Entries => {
            tracing::warn!(%node, entries = missing, "all that was lost was fetched");
            (missing, None)
        }
        Outcome::Snapshot(last) => {
            tracing::warn!(%node, %last, "a snapshot was fetched in place of what was lost");
            (0, Some(last))
        }
        Outcome::Nothing(reason) => {
            tracing::error!(%node, %reason, "what is lost could not be fetched");
            source.keep_aside();
            (0, None)
        }
    };
    Ok(Mended {
        has_started: true,
        entries,
        snapshot,
    })
}

enum Outcome {
    Entries,
    Snapshot(EntryId),
    Nothing(String),
}

/// What an attempt to take a snapshot came to.
enum Attempt {
    Taken(EntryId),
    /// A peer may have one soon.
    Later,
    /// Nobody who was reached has one, or none can be taken.
    None,
}

struct Run<'a, S> {
    storage: &'a mut S,
    fetcher: Option<Arc<dyn Fetcher>>,
    snapshots: Arc<dyn Snapshots>,
    at_least: Option<Index>,
    peers: Vec<NodeId>,
    deadline: Time,
    begun: Instant,
}

impl<S: Storage> Run<'_, S> {
    fn now(&self) -> Time {
        let elapsed = self.begun.elapsed().as_nanos();
        Time(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// Runs until all is mended, or cannot be. `entries` is `None` if nothing is known of those
    /// that are lost.
    fn mend<T: Transport>(&mut self, mut entries: Option<Mending>, transport: &mut T) -> Outcome {
        let mut gave_up = "nothing is known of what was lost".to_owned();
        loop {
            let now = self.now();
            match entries.as_ref().map(|it| it.next_step(now)) {
                Some(MendingStep::Ask { peer, fetch }) => {
                    let reply = transport.fetch_entries(peer, &fetch);
                    if let Some(mending) = &mut entries {
                        mending.replied(peer, &fetch, reply, &mut |at, parts| {
                            self.storage.supply(at, parts)
                        });
                    }
                    continue;
                }
                Some(MendingStep::Mended) => return Outcome::Entries,
                Some(MendingStep::GaveUp(reason)) => {
                    gave_up = reason.to_string();
                    entries = None;
                }
                Some(MendingStep::Wait) | None => {}
            }
            // Those that are reached have not got the entries, or nobody has.
            let lacking = entries.as_ref().map(|it| it.lacking().collect());
            let peers = lacking.unwrap_or_else(|| self.peers.clone());
            match self.take_snapshot(&peers) {
                Attempt::Taken(last) => return Outcome::Snapshot(last),
                Attempt::None if entries.is_none() => return Outcome::Nothing(gave_up),
                Attempt::Later if entries.is_none() && now >= self.deadline => {
                    return Outcome::Nothing(gave_up);
                }
                Attempt::Later | Attempt::None => {}
            }
            std::thread::park_timeout(PAUSE);
            if let Some(mending) = &mut entries {
                mending.waited();
            }
        }
    }

    /// Takes the snapshot of the first of these that has one which stands for all that is lost.
    fn take_snapshot(&mut self, peers: &[NodeId]) -> Attempt {
        let (Some(at_least), Some(fetcher)) = (self.at_least, self.fetcher.clone()) else {
            return Attempt::None;
        };
        let mut attempt = Attempt::None;
        for peer in peers {
            let ask = |request: &Request| fetcher.fetch(*peer, request);
            match fetch_snapshot(&ask, at_least, &*self.snapshots) {
                Fetched::Snapshot(meta) if self.storage.adopt(&meta) => {
                    return Attempt::Taken(meta.id.last);
                }
                Fetched::Snapshot(meta) => {
                    // A later one may do.
                    self.snapshots.release(meta.id);
                    attempt = Attempt::Later;
                }
                Fetched::Later => attempt = Attempt::Later,
                Fetched::HasNone => {}
                Fetched::Failed(reason) => {
                    tracing::warn!(%peer, %reason, "a snapshot could not be fetched");
                }
            }
        }
        attempt
    }
}
