//! Which disks speak under the members' numbers: what a server knows of it, and what an operator
//! has to do. The rules are those of the core (`incarnation.rs` in `raft-proto`).
//!
//! Incarnations are written in hexadecimal digits: many readers of JSON lose digits of long
//! numbers.

use super::MemberStatus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The disks of a cluster as one server sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskStatus {
    /// The incarnation of this server's own disk.
    pub incarnation: Option<String>,
    /// The incarnation of the disk that has this server's number, if it is another one. This server
    /// does not count then.
    pub replaced_by: Option<String>,
    /// As of which entry this server is no member any more, if it knows that.
    pub removed_at: Option<u64>,
    /// The last entry that this server's disk has acknowledged, if it has lost entries up to there
    /// and the leader has not sent them again yet.
    pub lost: Option<u64>,
    /// How many entries this server's disk had lost when it was started, and the other servers have
    /// sent: nothing is lost.
    pub mended: u64,
    /// What on this server's disk is not what was written any more, as far as it was found while the
    /// server runs, and as long as it is not replaced.
    pub decayed: Vec<String>,
    /// Disks that spoke under a member's number since this server was started, and that the
    /// configuration does not name.
    pub foreign: Vec<ForeignDisk>,
    /// While the cluster is being founded, the founders that this server does not hear.
    pub missing_founders: Vec<u64>,
    /// Nodes that were given another list of founders under the same cluster id.
    pub other_founders: Vec<u64>,
    /// Nodes whose log began with another founding of the cluster.
    pub other_histories: Vec<u64>,
}

/// A disk that speaks under a member's number, and that the configuration does not name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignDisk {
    /// The number.
    pub node: u64,
    /// The incarnation that the configuration names.
    pub named: String,
    /// The one that speaks; `None` if its server is of a release without incarnations.
    pub spoken: Option<String>,
}

impl DiskStatus {
    /// What an operator has to know and to do, as the server `node` sees it: a line each.
    pub(crate) fn warnings(
        &self,
        node: u64,
        leader: Option<u64>,
        members: &[MemberStatus],
    ) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(named) = &self.replaced_by {
            lines.push(self.replaced(node, named));
        } else if let Some(index) = self.removed_at {
            lines.push(format!(
                "node {node} was removed from the cluster (by entry {index} at the latest): stop it. \
                 If it is to be a member again, move its data directory away: raft-kv join --id \
                 {node} with a new --data"
            ));
        } else if let Some(line) = self.founding() {
            lines.push(line);
        }
        lines.extend(self.other_founders.iter().map(|other| {
            format!(
                "nodes {node} and {other} were given different lists of founders under one cluster \
                 id: they refuse each other. Give all founders the same list, and make the data \
                 directory of the one with the wrong list anew (raft-kv init)"
            )
        }));
        lines.extend(self.other_histories.iter().map(|other| {
            format!(
                "nodes {node} and {other} have different histories: all disks were made anew, and \
                 an old one came back. They refuse each other. Decide which history is to live, stop \
                 the servers of the other, and move their data directories away"
            )
        }));
        lines.extend(self.lost.map(|last| {
            let what = if leader.is_some() {
                "the leader is sending them again"
            } else {
                "there is no leader that could send them. Start the other servers; if a majority has \
                 lost entries, no leader is elected: put backups in place, or the old disks"
            };
            format!(
                "the disk of node {node} was damaged: it may have lost entries up to {last}, and \
                 votes for nobody until it has them; {what}"
            )
        }));
        lines.extend(self.decayed.iter().map(|what| {
            format!(
                "the disk of node {node} decays: {what}. The server runs on, and makes a snapshot \
                 that replaces this in time. A restart mends it at once, from the other servers: \
                 restart one server at a time, while the others are well. If it comes again, or if \
                 the disk returns errors, replace the disk"
            )
        }));
        lines.extend(self.lost_majority(node, leader, members));
        lines.extend(self.foreign.iter().map(|disk| disk.warning(members)));
        lines
    }

    fn replaced(&self, node: u64, named: &str) -> String {
        let own = self.incarnation.as_deref().unwrap_or("none");
        format!(
            "node {node} does not count: its disk is {own}, and its number belongs to the disk \
             {named}. Stop it. If the disk {named} is lost, move the data directory of node {node} \
             away, and replace the disk: raft-kv join --id {node} with a new --data"
        )
    }

    /// What the founding waits for. Founders that were heard and refused have a line of their own.
    fn founding(&self) -> Option<String> {
        let missing = self.missing_founders.iter();
        let missing: Vec<u64> = missing
            .filter(|node| !self.other_founders.contains(node))
            .copied()
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "the cluster is not founded yet: no word from {}, or only refusals. Founding needs all \
                 founders once: start them, and make sure that the servers reach each other. One that \
                 refuses is part of a cluster already: its own status says more",
                numbers(&missing)
            )
        })
    }

    /// With a leader there is a majority: the old disks have come back.
    fn lost_majority(
        &self,
        node: u64,
        leader: Option<u64>,
        members: &[MemberStatus],
    ) -> Option<String> {
        let voters = members.iter().filter(|it| it.is_voter()).map(|it| it.node);
        let voters: BTreeSet<u64> = voters.collect();
        let is_foreign = |voter: &u64| self.foreign.iter().any(|disk| disk.node == *voter);
        let foreign: Vec<u64> = voters.iter().copied().filter(is_foreign).collect();
        let left = voters.len() - foreign.len();
        if leader.is_some() || foreign.is_empty() || 2 * left > voters.len() {
            return None;
        }
        Some(format!(
            "the disks of {} of {} voters were made anew ({}): no leader can be elected. Node {node} \
             follows none of them, and keeps what it has. There are two ways out. Bring the old \
             disks of a majority back: nothing is lost. If they are lost for good: raft-kv recover \
             --force-new-cluster, which loses what had not reached node {node}",
            foreign.len(),
            voters.len(),
            numbers(&foreign)
        ))
    }
}

impl ForeignDisk {
    fn warning(&self, members: &[MemberStatus]) -> String {
        let (node, named) = (self.node, &self.named);
        let spoken = self.spoken.as_deref().unwrap_or("without an incarnation");
        let is_member = |member: &&MemberStatus| member.node == node;
        let member = members.iter().find(is_member);
        if member.is_some_and(|member| member.is_active == Some(true)) {
            return format!(
                "another disk ({spoken}) has spoken under the number of node {node}, whose own \
                 ({named}) is well: stop the other server, if it still runs"
            );
        }
        format!(
            "node {node} speaks with the disk {spoken}, and the configuration names {named}: it does \
             not count. If the disk {named} exists, start node {node} with it. If it is lost, stop \
             node {node}, move its data directory away, and replace the disk: raft-kv join --id \
             {node} with a new --data"
        )
    }
}

/// The numbers of nodes, as a sentence names them.
fn numbers(nodes: &[u64]) -> String {
    let named: Vec<_> = nodes.iter().map(|node| format!("node {node}")).collect();
    named.join(", ")
}
