//! A node whose disk has lost entries in the midst of its log asks its peers for them before it
//! takes part in the protocol. The rules are those of [`raft_proto::mending`]; here they get a
//! transport and a clock.
//!
//! The start of the node waits meanwhile ([`Options::mend_timeout`](crate::Options::mend_timeout)).
//! Its transport runs, so that it can answer peers that fetch entries themselves. Messages of the
//! protocol wait in its inbox, as if the network had delayed them.

mod source;

pub(crate) use source::Source;

use crate::error::StartError;
use crate::inbox::Inbox;
use crate::options::Options;
use crate::storage::Storage;
use crate::transport::Transport;
use raft_proto::NodeId;
use raft_proto::Time;
use raft_proto::mending::{Mending, MendingStep};
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
    source.serve(incomplete.whole);
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
    tracing::warn!(%node, missing, "entries are lost: the other nodes are asked for them");
    let deadline = Time(u64::try_from(options.mend_timeout.as_nanos()).unwrap_or(u64::MAX));
    let mut mending = Mending::new(incomplete.missing, peers, deadline);
    let entries = match run(&mut mending, storage, transport) {
        MendingStep::GaveUp(reason) => {
            tracing::error!(%node, %reason, "what is lost could not be fetched");
            0
        }
        MendingStep::Ask { .. } | MendingStep::Wait | MendingStep::Mended => {
            tracing::warn!(%node, entries = missing, "all that was lost was fetched");
            missing
        }
    };
    Ok(Mended {
        has_started: true,
        entries,
    })
}

/// Runs until all is mended, or cannot be.
fn run<S: Storage, T: Transport>(
    mending: &mut Mending,
    storage: &mut S,
    transport: &mut T,
) -> MendingStep {
    let begun = Instant::now();
    loop {
        let elapsed = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match mending.next_step(Time(elapsed)) {
            MendingStep::Ask { peer, fetch } => {
                let reply = transport.fetch_entries(peer, &fetch);
                mending.replied(peer, &fetch, reply, &mut |at, parts| {
                    storage.supply(at, parts)
                });
            }
            MendingStep::Wait => {
                std::thread::park_timeout(PAUSE);
                mending.waited();
            }
            end @ (MendingStep::Mended | MendingStep::GaveUp(_)) => return end,
        }
    }
}
