//! The public calls of etcd/raft's `Node` and `RawNode`, raft-rs' `RawNode` and openraft's `Raft`,
//! and what takes their place here.
//!
//! Those libraries hand out what is to be done as a *ready* that the caller takes, or run tasks of
//! their own. Here every input is an [`Event`](crate::Event), and its actions come out of that very
//! step. Calls of openraft that a driver offers, not a core, are found in `raft-driver-thread`.
//!
//! # etcd/raft
//!
//! | call | here |
//! |---|---|
//! | `StartNode`, `RestartNode`, `NewRawNode`, `Bootstrap` | [`Raft::new`](crate::Raft::new) with [`Start`](crate::Start) and [`Recovered`](crate::Recovered) |
//! | `Tick` | [`Input::Tick`](crate::Input::Tick), when [`WakeAt`](crate::Action::WakeAt) says: not in a fixed interval |
//! | `TickQuiesced` | none: a node without deadlines asks for no tick |
//! | `Campaign` (`MsgHup`) | [`Input::Campaign`](crate::Input::Campaign) |
//! | `Propose` | [`Input::Propose`](crate::Input::Propose), of one or many commands |
//! | `ProposeConfChange`, `ApplyConfChange` | [`Input::ChangeMembership`](crate::Input::ChangeMembership); applied by the core itself when it is appended |
//! | `ConfChange.Context` | [`Member::context`](crate::Member::context), which is replicated |
//! | `ConfChangeAddLearnerNode`, then a promotion by the caller | [`Member::staging`](crate::Member::staging): the leader promotes |
//! | `Step` | [`Input::Receive`](crate::Input::Receive) |
//! | `Ready`, `HasReady` | the actions of each step |
//! | `Advance`, `MsgStorageAppendResp`, `MsgStorageApplyResp` | [`Input::Persisted`](crate::Input::Persisted), [`Input::Applied`](crate::Input::Applied) |
//! | `MustSync` | [`Write`](crate::Write): each has to be durable before it is reported; a driver folds several into one sync |
//! | `TransferLeadership`, `TransferLeader` | [`Input::TransferLeadership`](crate::Input::TransferLeadership), with an outcome by id |
//! | `ForgetLeader` | none: it lets a follower vote although it hears the leader, which leases forbid. Ask the leader for a transfer or a [`StepDown`](crate::Input::StepDown) |
//! | `ReadIndex` | [`Input::Read`](crate::Input::Read), with an outcome by id |
//! | `Status`, `BasicStatus` | [`Raft::status`](crate::Raft::status), [`Raft::status_into`](crate::Raft::status_into) and the accessors |
//! | `WithProgress` | [`Raft::peers`](crate::Raft::peers) |
//! | `ReportUnreachable` | [`Input::Unreachable`](crate::Input::Unreachable) |
//! | `ReportSnapshot` | none needed: chunks are acknowledged, and sent again |
//! | `Stop` | drop it |
//! | `Storage` (`Entries`, `Term`, `FirstIndex`, …) | none: the core keeps what it needs, and asks by [`ReadEntries`](crate::Action::ReadEntries) and [`ReadSnapshot`](crate::Action::ReadSnapshot) |
//! | `MemoryStorage` | [`Recovered::apply`](crate::Recovered::apply): what a write means |
//! | `MemoryStorage.Compact`, `CreateSnapshot` | [`Input::Compact`](crate::Input::Compact); a stale one does nothing |
//! | `Config.Applied` | [`Recovered::applied`](crate::Recovered::applied) |
//! | `Config.DisableProposalForwarding` | always: the core forwards no proposals, its outcome names the leader |
//! | `Config.StepDownOnRemoval` | always, after a handover |
//! | `Logger`, `TraceLogger` | [`trace`](crate::trace) |
//!
//! # raft-rs, where it differs
//!
//! | call | here |
//! |---|---|
//! | `set_priority` | [`NodeChange::Update`](crate::NodeChange::Update): priority is replicated, and counts at all nodes |
//! | `ping` | none needed: a peer that is silent for a heartbeat interval gets a heartbeat |
//! | `on_persist_ready`, `advance_append`, `advance_append_async` | [`Input::Persisted`](crate::Input::Persisted) |
//! | `advance_apply`, `advance_apply_to` | [`Input::Applied`](crate::Input::Applied) |
//! | `on_entries_fetched` | [`Input::EntriesRead`](crate::Input::EntriesRead) |
//! | `snap`, `store`, `mut_store` | [`Raft::snapshot`](crate::Raft::snapshot); the storage is the driver's |
//! | `request_snapshot` | none: a follower whose service lost its state restarts from its snapshot and its log. One whose log is damaged has to join anew |
//! | `skip_bcast_commit` | [`commit_notice_delay`](crate::Config::commit_notice_delay), by [`Input::Reconfigure`](crate::Input::Reconfigure) |
//! | `set_batch_append` | always: what is proposed together, or while a window is full, leaves together |
//! | `adjust_max_inflight_msgs`, `set_max_committed_size_per_ready` | [`Input::Reconfigure`](crate::Input::Reconfigure) |
//! | `set_check_quorum` | none while it runs: leases of others rest on it ([`FixedSetting`](crate::FixedSetting)) |
//! | `uncommitted_size` | [`Raft::uncommitted_bytes`](crate::Raft::uncommitted_bytes) |
//! | `enable_group_commit`, `assign_commit_groups` | none: a commit that also needs several zones is not in the thesis, and stalls if a zone is lost |
//!
//! # openraft
//!
//! | call | here |
//! |---|---|
//! | `new`, `shutdown` | [`Raft::new`](crate::Raft::new), drop it |
//! | `initialize`, `is_initialized` | [`Start::Bootstrap`](crate::Start::Bootstrap); [`Membership::is_empty`](crate::Membership::is_empty) |
//! | `client_write`, `client_write_ff`, `client_write_many` | [`Input::Propose`](crate::Input::Propose) |
//! | `ensure_linearizable`, `get_read_log_id`, `get_read_linearizer` | [`Input::Read`](crate::Input::Read), by quorum or lease, on any member |
//! | `add_learner` | [`NodeChange::Set`](crate::NodeChange::Set) of a [`learner`](crate::Member::learner); blocking until it has caught up is [`staging`](crate::Member::staging) |
//! | `change_membership` | [`Input::ChangeMembership`](crate::Input::ChangeMembership); the core leaves the joint configuration by itself, whichever node leads then |
//! | `ChangeMembers::SetNodes` | [`NodeChange::Update`](crate::NodeChange::Update) |
//! | `change_membership` with a condition | [`MembershipChange::expected`](crate::MembershipChange::expected) |
//! | `trigger().elect()` | [`Input::Campaign`](crate::Input::Campaign) |
//! | `trigger().heartbeat()` | none needed: [`Input::Read`](crate::Input::Read) confirms the leader |
//! | `trigger().snapshot()` | the driver's own: the service makes snapshots |
//! | `trigger().purge_log()` | [`Input::Compact`](crate::Input::Compact), with [`trailing_entries`](crate::Config::trailing_entries) |
//! | `trigger().transfer_leader()`, `handle_transfer_leader` | [`Input::TransferLeadership`](crate::Input::TransferLeadership) |
//! | `trigger().allow_next_revert()` | none: a follower that lost acknowledged entries voted with them. Its disk is replaced ([`Config::incarnation`](crate::Config::incarnation)) |
//! | `runtime_config().tick()`, `heartbeat()`, `elect()` | a driver that gives no ticks; [`Input::Reconfigure`](crate::Input::Reconfigure) for the intervals |
//! | `vote`, `append_entries`, `install_snapshot`, `install_full_snapshot`, `begin_receiving_snapshot` | [`Input::Receive`](crate::Input::Receive) |
//! | `get_snapshot` | [`Raft::snapshot`](crate::Raft::snapshot) |
//! | `current_leader`, `is_leader`, `as_leader` | [`Raft::leader`](crate::Raft::leader), [`Raft::role`](crate::Raft::role) |
//! | `metrics`, `data_metrics`, `server_metrics` | [`Raft::status`](crate::Raft::status) |
//! | `wait`, `on_leader_change`, `on_cluster_leader_change` | [`LeaderChanged`](crate::Action::LeaderChanged) and other actions; a driver's events |
//! | `with_raft_state`, `external_request` | the accessors: the driver owns the [`Raft`](crate::Raft) |
//! | `with_state_machine` | the driver's own |
//! | `config` | [`Raft::config`](crate::Raft::config) |
