//! What a script prints about a node.

use raft_proto::*;
use std::fmt::Write as _;

/// The status of the node, and of each peer if it leads.
pub fn status(raft: &Raft) -> Result<String, std::fmt::Error> {
    let status = raft.status();
    let mut out = String::new();
    write!(out, "{}@{} {}", status.id, status.term, status.role)?;
    match status.leader {
        Some(leader) => write!(out, " leader={leader}")?,
        None => write!(out, " leader=unknown")?,
    }
    write!(out, " log={}..{}", status.log_base, status.last_log)?;
    write!(out, " durable={}", status.durable_index)?;
    write!(out, " commit={}", status.commit_index)?;
    write!(out, " applied={}", status.applied_index)?;
    writeln!(out, " rejected={}", status.rejected)?;
    for peer in &status.peers {
        let state = match peer.state {
            PeerState::Probe => "probe".to_owned(),
            PeerState::Replicate { inflight } => format!("replicate inflight={inflight}"),
            PeerState::Snapshot { snapshot, offset } => {
                format!("snapshot {} at {offset}", snapshot.last)
            }
        };
        let (next, matched) = (peer.next_index, peer.match_index);
        writeln!(out, "  {} match={matched} next={next} {state}", peer.id)?;
    }
    Ok(out)
}

/// The log as `index@term`, after its base.
pub fn log(raft: &Raft) -> String {
    let entries = raft.entries(Index(1), Index::MAX);
    let ids: Vec<String> = entries.iter().map(|entry| entry.id().to_string()).collect();
    format!(
        "n{} after {}: {}",
        raft.id().0,
        raft.log_base(),
        ids.join(" ")
    )
}

/// The configuration in force, with contexts and priorities.
pub fn members(raft: &Raft) -> String {
    let describe = |member: &Member| {
        let context = String::from_utf8_lossy(&member.context);
        let (id, role, priority) = (member.id, member.role, member.priority);
        format!("{id} {role:?} priority={priority} {context:?}")
    };
    let all: Vec<String> = raft.membership().members().iter().map(describe).collect();
    all.join("\n")
}
