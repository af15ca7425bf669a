//! A node's settings, given once at its start.

use crate::error::ConfigError;
use crate::level::Level;
use crate::membership::{Member, Membership};
use crate::run::ENTRY_OVERHEAD;
use crate::types::{ClusterId, GroupId, Incarnation, NodeId};
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// How a node learns the members of its cluster. Only read when its storage is empty: a recovered
/// membership always wins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Start {
    /// The cluster begins now, with these members: the same list on each of them. The list is not
    /// in the log. See [`Start::voters`].
    Bootstrap {
        /// Every member once, usually including this node: voters, and learners if any.
        members: Vec<Member>,
    },
    /// The cluster exists. The node knows no voters, and never campaigns before it has received a
    /// configuration from a leader.
    Join,
}

impl Start {
    /// A cluster of these voters, without priorities and contexts.
    ///
    /// ```
    /// use raft_proto::{Member, NodeId, Start};
    /// let members = vec![Member::voter(NodeId(1)), Member::voter(NodeId(2))];
    /// assert_eq!(Start::voters([NodeId(1), NodeId(2)]), Start::Bootstrap { members });
    /// ```
    pub fn voters(voters: impl IntoIterator<Item = NodeId>) -> Start {
        Start::Bootstrap {
            members: voters.into_iter().map(Member::voter).collect(),
        }
    }
}

/// A node's settings. Begin with [`Config::new`] and change fields; [`Raft::new`](crate::Raft::new)
/// validates them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Config {
    /// The cluster; not 0. Messages and storages of other clusters are refused.
    pub cluster_id: ClusterId,
    /// The group; 0 where a process has only one.
    pub group_id: GroupId,
    /// This node.
    pub node_id: NodeId,
    /// How it learns the members of its cluster.
    pub start: Start,
    /// What names this node's storage, if that is new; one that was used before keeps its own,
    /// also if this is `None`. One that was used without any is refused
    /// ([`StorageWithoutIncarnation`](crate::StartError::StorageWithoutIncarnation)). Draw it at
    /// random at each start, from a source that repeats in no container and after no reboot: two
    /// storages must not have the same. Default `None`.
    ///
    /// With it, a server whose disk was lost and made anew is told from the one that acknowledged
    /// votes and entries: it does not count until a change of the membership names it. A cluster
    /// is then founded by *all* its founders: its first leader needs the votes of every one, and
    /// its first entry names their storages (`incarnation.rs`). Without it, the embedder must never
    /// start an emptied storage under a number that was used: acknowledged entries could be lost.
    /// The founding entry takes index 1, also with [`LeaderNoop::Off`]. Set it on all nodes or on
    /// none.
    pub incarnation: Option<Incarnation>,
    /// What this node reads. The cluster writes what all members read, and no more
    /// ([`Raft::level`](crate::Raft::level)): a program raises the service's part with each release
    /// whose commands or snapshots the release before it does not read. Lower than that, it holds
    /// the cluster back, so that members can go back to the older release. A node whose log or
    /// leader needs more than this does not start, or faults.
    ///
    /// When all members read more than before, the leader appends an entry that says so, also with
    /// [`LeaderNoop::Off`]. Default [`Level::ZERO`], which appends none.
    pub level: Level,
    /// Its election timeouts are drawn from this seed and the node id. Give a fresh one at each
    /// start; a fixed one makes runs repeatable.
    pub seed: u64,
    /// The least election timeout (section 5.2). At least three heartbeat intervals.
    /// Default 500 ms.
    ///
    /// What a sync of a disk may take: with [`PreVoting::On`], a leader is elected however long
    /// syncs take, since nobody gives up an election whose votes are on their way to a disk; but
    /// see `election_timeout_max`. With [`PreVoting::Off`], other nodes learn of an election only
    /// when the candidate's own vote is on its disk: choose this timeout at least three times as
    /// long as a sync, and its distance to `election_timeout_max` at least eight times as long
    /// (section 5.6: broadcastTime includes the syncs), or most rounds are split.
    pub election_timeout_min: Duration,
    /// Election timeouts are drawn uniformly from `election_timeout_min` to just below this
    /// (section 9.3: a wide range avoids split votes). Choose more than the longest sync that is
    /// normal: with [`CheckQuorum::On`], a leader whose disk makes no progress for so long gives up
    /// its leadership. A transfer of leadership takes two syncs within this time. Default 1 s.
    pub election_timeout_max: Duration,
    /// How often a leader sends a heartbeat to an idle follower. Default 100 ms.
    pub heartbeat_interval: Duration,
    /// How long a leader waits for the answer to an append before a heartbeat asks which entries
    /// arrived. That happens once; later heartbeats ask again. Choose more than the usual time of a
    /// round trip and a disk sync. A shorter time finds a lost message sooner, and such a heartbeat
    /// carries no entries. More than `heartbeat_interval` has no effect. Default 100 ms.
    pub append_timeout: Duration,
    /// How long a leader waits for an append to carry a new commitIndex before it sends that to an
    /// idle follower in a message of its own. Zero, the default, sends it at once. A longer delay
    /// saves messages, and followers apply later.
    pub commit_notice_delay: Duration,
    /// Whether a new leader appends an empty entry (section 8), which commits what earlier
    /// terms left behind. Default on; without it those entries wait for the first command.
    pub leader_noop: LeaderNoop,
    /// The longest command, in bytes. It should be the same on all nodes: a leader takes no command
    /// that is longer than a voter takes, and names that voter
    /// ([`TooLargeFor`](crate::ProposeError::TooLargeFor)). A follower stores a longer entry that
    /// fits a message ([`Limits`](crate::wire::Limits)): another leader accepted it. Default 1 MiB.
    pub max_entry_bytes: u64,
    /// The entries of one AppendEntries, in bytes with overhead. Default 1 MiB and an entry's
    /// overhead.
    pub max_append_bytes: u64,
    /// How many AppendEntries with entries may be on their way to one follower. When that many are,
    /// later proposals join the next one. Default 64.
    pub max_inflight_appends: u32,
    /// How many bytes of entries, or of a snapshot, may be on their way to one follower. A leader
    /// begins with less, and sends more while the follower acknowledges it within a part of
    /// `election_timeout_min`: what is on its way delays heartbeats. Default 8 MiB.
    pub max_inflight_bytes: u64,
    /// How many bytes of entries a leader accepts beyond those that are both committed and on its
    /// own disk. It refuses proposals beyond that. Default 64 MiB.
    pub max_uncommitted_bytes: u64,
    /// How many bytes of entries a leader accepts beyond those that its own service has applied. It
    /// refuses proposals beyond that, so a service that is slow or stuck does not let the leader's
    /// log grow without bound. Below `max_uncommitted_bytes`, it counts as that. Default 256 MiB.
    ///
    /// Only a leader can refuse. A follower has to take what its leader commits: a follower whose
    /// own service is stuck keeps all of it, since without `Applied` and `Compact` nothing can be
    /// dropped. A driver watches [`Status::unapplied_bytes`](crate::Status::unapplied_bytes), and
    /// stops a node whose service is stuck.
    pub max_backlog_bytes: u64,
    /// How many bytes of entries are handed out to apply before `Applied` comes back.
    /// Default 16 MiB.
    pub max_unapplied_bytes: u64,
    /// The data of one InstallSnapshot, in bytes: the core never holds more of a snapshot. Several
    /// may be on their way to a follower, up to `max_inflight_bytes`. Default 256 KiB.
    pub snapshot_chunk_bytes: u64,
    /// How many entries stay in the log before a snapshot's end, so that a follower that is
    /// only a little behind needs no snapshot. Default 1,024.
    pub trailing_entries: u64,
    /// How many bytes of entries stay in the log before a snapshot's end, if those are more than
    /// `trailing_entries`. Only entries in memory count. To send a follower the log is usually
    /// cheaper than to send it a snapshot of that size. Default 0.
    pub trailing_bytes: u64,
    /// How many bytes of entries stay in the log before a snapshot's end at most, however few
    /// entries that are. Those that are not in memory any more
    /// ([`max_resident_bytes`](Config::max_resident_bytes)) count as too many. What stays for a
    /// follower that is sent a snapshot is limited by `max_transfer_log_bytes` alone. Default
    /// `None`: no limit in bytes.
    pub max_trailing_bytes: Option<u64>,
    /// How many bytes a leader may append before it gives up to keep the log for a follower that is
    /// sent a snapshot. The entries after that snapshot stay until the follower has caught up, or
    /// has not answered for ten election timeouts. Choose more than what clients write while a
    /// snapshot is sent and installed: with less, a follower may be sent one snapshot after
    /// another. 0 keeps nothing. Default 64 MiB.
    pub max_transfer_log_bytes: u64,
    /// How many bytes of the log stay in memory once they are durable and applied. Older payloads
    /// are dropped; [`ReadEntries`](crate::Action::ReadEntries) asks for them when a slow follower
    /// needs them. Default `None`: the whole log stays in memory, and the driver is never asked.
    pub max_resident_bytes: Option<u64>,
    /// Whether a node asks for an election before it campaigns (thesis 9.6). Default on.
    pub pre_vote: PreVoting,
    /// Whether a leader that has lost contact with the majority steps down, and voters that have
    /// contact with a leader ignore candidates (thesis 6.2). Default on. Must be the same on all
    /// nodes.
    pub check_quorum: CheckQuorum,
    /// Whether reads may be served without a round of messages (thesis 6.4.1). Default off. Must
    /// be the same on all nodes, as must `election_timeout_min` where it is on.
    pub lease: Lease,
    /// How long voters promise a leader with leases that they elect nobody else, counted from each
    /// of its messages, in whole milliseconds. A lease is as long, less what clocks may drift, and a
    /// leader renews it with each message that a majority answers: choose at least two heartbeat
    /// intervals. After a leader's failure nobody is elected for as long, although its peers know of
    /// it at once ([`Unreachable`](crate::Input::Unreachable)). At most `election_timeout_min`,
    /// which is the default. Without leases it means nothing.
    pub lease_promise: Option<Duration>,
    /// How many reads may wait at one node. Default 65,536.
    pub max_waiting_reads: u32,
    /// How many entries a node that is to become a voter may be behind (thesis 4.2.1), unless the
    /// change is forced. Default 1,024.
    pub max_promotion_lag: u64,
}

/// Whether a node asks for an election before it campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PreVoting {
    /// It begins a term only if a majority would vote for it (thesis 9.6): a node that returns
    /// from a partition does not disturb the others, and a node that is to take over from the
    /// leader, but cannot, does not depose it. With [`CheckQuorum::Off`] the returning node still
    /// may, if its log is up to date: contact with a leader keeps nobody from voting then, since a
    /// leader that hears no majority would keep its followers from electing another for ever.
    /// For the same reason a follower begins a term at once if it is asked while its own leader has
    /// committed nothing for `election_timeout_max`. It also watches that by itself: see
    /// [`CheckQuorum::Off`].
    On,
    /// It campaigns when its election timeout elapses (section 5.2).
    Off,
}

/// Whether a leader checks its contact with the majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckQuorum {
    /// It steps down when no majority has answered for `election_timeout_max`, or when its disk has
    /// made no progress for that long. Voters that had contact with a leader within
    /// `election_timeout_min` ignore candidates (thesis 6.2). So does a node for
    /// `election_timeout_min` from its start: it may have heard a leader just before.
    On,
    /// It leads until a message of a later term comes. With [`PreVoting::On`], followers whose
    /// entries wait for two election timeouts ask whether it hears them, and begin a term if it does
    /// not and a majority would vote for them. Without, a leader that hears nobody leads on for as
    /// long as it is heard.
    Off,
}

/// Whether reads may be served under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lease {
    /// Each read is confirmed by a majority.
    Off,
    /// A leader that a majority has answered stays the leader for as long as it asked them to
    /// promise ([`Config::lease_promise`]), counted from when it asked, less what clocks may drift.
    /// Every node's clock must run at the right rate within `max_drift_ppm`, also while the machine
    /// sleeps. Needs [`CheckQuorum::On`].
    ///
    /// A lease rests on what *other* nodes do: voters with [`CheckQuorum::On`] keep their promise
    /// to the leader, and ignore candidates for `election_timeout_min` from their start. To
    /// turn leases on in a running cluster, restart node by node, in this order: first all nodes
    /// with a release that does so, then all with `CheckQuorum::On` and the same
    /// `election_timeout_min`, and only then each with leases on. To change
    /// `election_timeout_min`, turn leases off on all nodes before, and on again after.
    On {
        /// Parts in a million by which a clock may run fast or slow; at most 100,000.
        max_drift_ppm: u32,
    },
}

/// Whether a new leader appends an empty entry of its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LeaderNoop {
    /// It does (section 8).
    On,
    /// It does not: indexes count commands only.
    Off,
}

impl Config {
    /// The greatest value of any limit in bytes: 2^40.
    pub const MAX_BYTES: u64 = 1 << 40;
    /// The greatest value of a limit on the contents of one message: about 4 GiB, so that the
    /// length of its frame fits 32 bits.
    pub const MAX_MESSAGE_BYTES: u64 = (1 << 32) - (1 << 17);
    /// The greatest number of appends in flight to one follower.
    pub const MAX_INFLIGHT_APPENDS: u32 = 1 << 16;
    /// The greatest drift of clocks with which leases are useful, in parts in a million.
    pub const MAX_DRIFT_PPM: u32 = 100_000;
    /// The longest interval: a day.
    pub const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

    /// The defaults, for this node of this cluster.
    pub fn new(cluster_id: ClusterId, node_id: NodeId, start: Start, seed: u64) -> Config {
        const MIB: u64 = 1 << 20;
        Config {
            cluster_id,
            group_id: GroupId(0),
            node_id,
            start,
            incarnation: None,
            level: Level::ZERO,
            seed,
            election_timeout_min: Duration::from_millis(500),
            election_timeout_max: Duration::from_millis(1000),
            heartbeat_interval: Duration::from_millis(100),
            append_timeout: Duration::from_millis(100),
            commit_notice_delay: Duration::ZERO,
            leader_noop: LeaderNoop::On,
            max_entry_bytes: MIB,
            max_append_bytes: MIB + ENTRY_OVERHEAD,
            max_inflight_appends: 64,
            max_inflight_bytes: 8 * MIB,
            max_uncommitted_bytes: 64 * MIB,
            max_backlog_bytes: 256 * MIB,
            max_unapplied_bytes: 16 * MIB,
            snapshot_chunk_bytes: MIB / 4,
            trailing_entries: 1024,
            trailing_bytes: 0,
            max_trailing_bytes: None,
            max_transfer_log_bytes: 64 * MIB,
            max_resident_bytes: None,
            pre_vote: PreVoting::On,
            check_quorum: CheckQuorum::On,
            lease: Lease::Off,
            lease_promise: None,
            max_waiting_reads: 1 << 16,
            max_promotion_lag: 1024,
        }
    }

    /// Checks each setting, and that they fit together.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] found, which says what to change.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.cluster_id.0 == 0 {
            return Err(ConfigError::NoClusterId);
        }
        if self.level.core > Level::CORE {
            return Err(ConfigError::LimitTooGreat {
                name: "level.core",
                most: u64::from(Level::CORE),
            });
        }
        self.validate_voters()?;
        self.validate_times()?;
        self.validate_lease()?;
        self.validate_limits()
    }

    fn validate_voters(&self) -> Result<(), ConfigError> {
        let Start::Bootstrap { members } = &self.start else {
            return Ok(());
        };
        let mut sorted: Vec<NodeId> = members.iter().map(|member| member.id).collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ConfigError::DuplicateMember(pair[0]));
        }
        if let Some(member) = members.iter().find(|member| member.role.is_joint()) {
            return Err(ConfigError::JointMember(member.id));
        }
        let membership = self.bootstrap_membership();
        if membership.voters().next().is_none() {
            return Err(ConfigError::NoVoters);
        }
        if membership.encoded_len() > Membership::MAX_BYTES {
            return Err(ConfigError::MembershipTooLarge);
        }
        Ok(())
    }

    fn validate_times(&self) -> Result<(), ConfigError> {
        let times = [
            ("election_timeout_min", self.election_timeout_min),
            ("election_timeout_max", self.election_timeout_max),
            ("heartbeat_interval", self.heartbeat_interval),
            ("append_timeout", self.append_timeout),
            ("commit_notice_delay", self.commit_notice_delay),
        ];
        if let Some((name, _)) = times
            .into_iter()
            .find(|(_, time)| *time > Self::MAX_INTERVAL)
        {
            let most = Self::MAX_INTERVAL.as_secs();
            return Err(ConfigError::LimitTooGreat { name, most });
        }
        if self.heartbeat_interval.is_zero() {
            return Err(ConfigError::NoHeartbeatInterval);
        }
        if self.append_timeout.is_zero() {
            return Err(ConfigError::ZeroLimit("append_timeout"));
        }
        let (min, max) = (self.election_timeout_min, self.election_timeout_max);
        if min >= max {
            return Err(ConfigError::ElectionTimeoutRange { min, max });
        }
        if self.heartbeat_interval * 3 > min {
            return Err(ConfigError::HeartbeatTooSlow {
                heartbeat: self.heartbeat_interval,
                election: min,
            });
        }
        Ok(())
    }

    /// Each limit, and the greatest that it may be.
    fn limits(&self) -> [(&'static str, u64, u64); 9] {
        [
            (
                "max_entry_bytes",
                self.max_entry_bytes,
                Self::MAX_MESSAGE_BYTES,
            ),
            (
                "max_append_bytes",
                self.max_append_bytes,
                Self::MAX_MESSAGE_BYTES,
            ),
            (
                "max_inflight_bytes",
                self.max_inflight_bytes,
                Self::MAX_BYTES,
            ),
            (
                "max_uncommitted_bytes",
                self.max_uncommitted_bytes,
                Self::MAX_BYTES,
            ),
            ("max_backlog_bytes", self.max_backlog_bytes, Self::MAX_BYTES),
            (
                "max_unapplied_bytes",
                self.max_unapplied_bytes,
                Self::MAX_BYTES,
            ),
            (
                "snapshot_chunk_bytes",
                self.snapshot_chunk_bytes,
                Self::MAX_MESSAGE_BYTES,
            ),
            (
                "max_inflight_appends",
                u64::from(self.max_inflight_appends),
                u64::from(Self::MAX_INFLIGHT_APPENDS),
            ),
            (
                "max_waiting_reads",
                u64::from(self.max_waiting_reads),
                u64::from(u32::MAX),
            ),
        ]
    }

    fn validate_limits(&self) -> Result<(), ConfigError> {
        for (name, value, most) in self.limits() {
            if value == 0 {
                return Err(ConfigError::ZeroLimit(name));
            }
            if value > most {
                return Err(ConfigError::LimitTooGreat { name, most });
            }
        }
        // These may be 0.
        let spared = [
            ("trailing_bytes", self.trailing_bytes),
            ("max_transfer_log_bytes", self.max_transfer_log_bytes),
        ];
        if let Some((name, _)) = spared.into_iter().find(|(_, it)| *it > Self::MAX_BYTES) {
            let most = Self::MAX_BYTES;
            return Err(ConfigError::LimitTooGreat { name, most });
        }
        let entry = self.max_entry_bytes + ENTRY_OVERHEAD;
        let at_least_an_entry = [
            ("max_append_bytes", self.max_append_bytes),
            ("max_uncommitted_bytes", self.max_uncommitted_bytes),
            ("max_unapplied_bytes", self.max_unapplied_bytes),
        ];
        let fits = |name, value, least_name, least| {
            let error = ConfigError::LimitTooSmall {
                name,
                least_name,
                least,
            };
            if value < least { Err(error) } else { Ok(()) }
        };
        for (name, value) in at_least_an_entry {
            fits(name, value, "max_entry_bytes", entry)?;
        }
        let append = self.max_append_bytes;
        fits(
            "max_inflight_bytes",
            self.max_inflight_bytes,
            "max_append_bytes",
            append,
        )
    }

    /// The voters to start with when the storage is empty.
    pub(crate) fn bootstrap_membership(&self) -> Membership {
        match &self.start {
            Start::Bootstrap { members } => Membership::of(members.iter().cloned()),
            Start::Join => Membership::default(),
        }
    }
}
