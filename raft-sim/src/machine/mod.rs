//! One machine of a run: its process while that runs and its disk while it does not, its clock, its
//! service, and the faults that it suffers.

mod faults;
mod mending;
mod service;

pub use faults::{FlakyDisk, MachineFaults};
pub use service::ServiceTask;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::failure::Failure;
use crate::pending_commands::PendingCommands;
use crate::process::{DiskReads, DiskSyncs, Observer, Process, ProcessError};
use crate::random::Random;
use crate::service::Service;
use crate::settings::ServiceSettings;
use raft_proto::wire::Receiver;
use raft_proto::{
    Action, Config, EntryId, Index, Input, Membership, NodeId, Raft, RequestId, Seq, Start, Time,
};
use service::{EmptyService, Tasks};

#[derive(Debug)]
enum State {
    Running(Box<Process>),
    Down(Box<Disk>),
}

/// Syncs that run.
#[derive(Clone, Copy, Debug, Default)]
struct Syncs {
    running: u32,
    /// The last write that any of them covers.
    covered: Seq,
}

/// A copy of a disk.
#[derive(Clone, Debug, Default)]
struct Backup {
    disk: Disk,
    /// What the service had saved.
    saved: Option<Service>,
}

/// One machine.
#[derive(Debug)]
pub struct Machine {
    state: State,
    config: Config,
    /// Its clock.
    pub clock: Clock,
    receiver: Receiver,
    empty_service: EmptyService,
    /// As [`ServiceSettings::saves_every`].
    saves_every: Option<u64>,
    reads: DiskReads,
    /// Its state machine; after a restart, that of the last snapshot, or what it has saved.
    pub service: Service,
    /// What the service has saved by itself: durable, and never beyond the log.
    saved: Option<Service>,
    /// What the service was given and has not done yet.
    tasks: Tasks,
    /// A copy of its disk that was put aside.
    backup: Option<Backup>,
    /// Which disk it is under the node's number, for the network: what another one sent before is
    /// not delivered.
    pub(crate) disk_number: u32,
    /// Commands that it has accepted, and whose clients wait.
    pub pending_commands: PendingCommands,
    /// Reads that the core has allowed, and that wait until the service is at this index.
    pub allowed_reads: Vec<(Index, RequestId)>,
    /// The faults that it suffers.
    pub faults: MachineFaults,
    /// The index of the entry that holds the configuration in use, or a later one.
    pub members_since: Index,
    /// The configurations that the core has reported: the latest, and the one before.
    members: [Membership; 2],
    /// The configuration that the node knew when its process ended.
    last_membership: Membership,
    /// The configuration that it would find on its disk if it lost power now, while it is down.
    stored_membership: Membership,
    /// How often its process was started or ended.
    pub(crate) incarnation: u32,
    /// The earliest of its timers in the world's queue.
    pub(crate) timer: Time,
    syncs: Syncs,
    /// The last entry of the latest snapshot, made or being made.
    snapshot: Index,
}

impl Machine {
    /// A machine with an empty disk, whose process does not run.
    pub fn new(
        config: Config,
        clock: Clock,
        service: &ServiceSettings,
        reads: DiskReads,
    ) -> Machine {
        Machine {
            state: State::Down(Box::default()),
            receiver: Receiver::new(&config),
            config,
            clock,
            empty_service: EmptyService::of(service),
            saves_every: service.saves_every,
            reads,
            service: Service::new(service.max_sessions),
            saved: None,
            tasks: Tasks::default(),
            backup: None,
            disk_number: 0,
            pending_commands: PendingCommands::default(),
            allowed_reads: Vec::new(),
            faults: MachineFaults::default(),
            members_since: Index::ZERO,
            members: Default::default(),
            last_membership: Membership::default(),
            stored_membership: Membership::default(),
            incarnation: 0,
            timer: Time::NEVER,
            syncs: Syncs::default(),
            snapshot: Index::ZERO,
        }
    }

    /// The core, while the process runs.
    pub fn raft(&self) -> Option<&Raft> {
        match &self.state {
            State::Running(process) => Some(process.raft()),
            State::Down(_) => None,
        }
    }

    /// The node's config.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The identity of the node that runs here.
    pub fn id(&self) -> NodeId {
        self.config.node_id
    }

    /// Decodes the frames that are sent to the node.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// The disk.
    pub fn disk(&self) -> &Disk {
        match &self.state {
            State::Running(process) => process.disk(),
            State::Down(disk) => disk,
        }
    }

    pub(crate) fn disk_mut(&mut self) -> &mut Disk {
        match &mut self.state {
            State::Running(process) => process.disk_mut(),
            State::Down(disk) => disk,
        }
    }

    /// The configuration that the node knows, or knew when its process ended.
    pub fn membership(&self) -> &Membership {
        match &self.state {
            State::Running(process) => process.raft().membership(),
            State::Down(_) => &self.last_membership,
        }
    }

    /// The node uses another configuration, which stands at `index`.
    pub fn members_changed(&mut self, index: Index, membership: Membership) {
        self.members_since = index;
        let before = core::mem::replace(&mut self.members[0], membership);
        self.members[1] = before;
    }

    /// The configuration that stands at this index: the latest, or the one before.
    pub fn membership_at(&self, since: Index) -> &Membership {
        let [latest, before] = &self.members;
        if since == self.members_since || before.is_empty() {
            latest
        } else {
            before
        }
    }

    /// The configuration by which the node would stand for election; if it is down, the one on its
    /// disk.
    pub fn own_membership(&self) -> &Membership {
        match &self.state {
            State::Running(process) => process.raft().membership(),
            State::Down(_) => &self.stored_membership,
        }
    }

    /// The last entry of the node's log; of the log on its disk while it is down.
    pub fn last_log(&self) -> EntryId {
        match &self.state {
            State::Running(process) => process.raft().last_log(),
            State::Down(disk) => disk.last_id(),
        }
    }

    fn process_failed(&self, reason: ProcessError) -> Failure {
        Failure::Process {
            node: self.id(),
            reason,
        }
    }

    /// Starts the process with what the disk holds, and loads the service. Returns the index up to
    /// which the service has applied. Does nothing if the process runs.
    ///
    /// # Errors
    ///
    /// [`Failure::Process`], [`Failure::Snapshot`], [`Failure::NoSnapshot`].
    pub fn start(&mut self, seed: u64) -> Result<Index, Failure> {
        let node = self.id();
        let State::Down(disk) = &mut self.state else {
            return Ok(self.service.last.index);
        };
        let mut disk = core::mem::take(disk);
        // What another process left in the page cache is not durable before it is synced.
        disk.open().map_err(|reason| Failure::Process {
            node,
            reason: reason.into(),
        })?;
        if disk.has_lost_its_snapshot() {
            return Err(Failure::NoSnapshot { node });
        }
        self.load_service(&disk)?;
        self.config.seed = seed;
        let (config, syncs) = (self.config.clone(), DiskSyncs::Scheduled);
        let applied = self.saves_every.map(|_| self.service.last.index);
        let process = Process::start_after(config, *disk, syncs, applied);
        let mut process = process.map_err(|reason| self.process_failed(reason))?;
        process.set_reads(self.reads);
        self.state = State::Running(Box::new(process));
        self.incarnation += 1;
        self.members_since = self.last_log().index;
        self.members = [self.membership().clone(), Membership::default()];
        Ok(self.service.last.index)
    }

    /// Ends the process. The disk keeps all that was written, synced or not.
    pub fn kill(&mut self) {
        let down = State::Down(Box::default());
        self.state = match core::mem::replace(&mut self.state, down) {
            State::Running(process) => {
                self.save_at_end();
                self.last_membership = process.raft().membership().clone();
                State::Down(Box::new(process.kill()))
            }
            down @ State::Down(_) => down,
        };
        self.stored_membership = self.disk().membership();
        self.incarnation += 1; // What is under way belongs to the incarnation that ends.
        self.pending_commands = PendingCommands::default();
        self.allowed_reads.clear();
        self.tasks = Tasks::default();
        self.syncs = Syncs::default();
        self.timer = Time::NEVER;
    }

    /// The machine loses power while no process runs: what was not synced may be lost. Returns
    /// whether a torn write is left.
    pub fn lose_power(&mut self, random: &mut Random) -> bool {
        match &mut self.state {
            State::Down(disk) => disk.lose_power(random),
            State::Running(_) => false,
        }
    }

    /// The disk is lost. A new node takes over this place, with an empty disk and a new identity.
    pub fn replace(&mut self, id: NodeId) {
        self.kill();
        self.state = State::Down(Box::default());
        self.config.node_id = id;
        self.config.start = Start::Join;
        self.receiver = Receiver::new(&self.config);
        self.faults.is_rotten = false;
        self.last_membership = Membership::default();
        self.stored_membership = Membership::default();
        self.saved = None;
        self.backup = None;
    }

    /// Records of the log decay while no process runs: about `kept` of a thousand entries are left.
    /// A service that is durable by itself has lost its state, too. Returns whether any are lost.
    ///
    /// # Errors
    ///
    /// [`Failure::Process`].
    pub fn damage(&mut self, kept: u32) -> Result<bool, Failure> {
        let Some(disk) = self.idle_disk()? else {
            return Ok(false);
        };
        let is_damaged = disk.damage(kept);
        let membership = disk.membership();
        self.stored_membership = membership;
        if is_damaged {
            self.saved = None;
        }
        Ok(is_damaged)
    }

    /// Puts a copy of the disk aside, as it would be found after a loss of power.
    ///
    /// # Errors
    ///
    /// [`Failure::Process`].
    pub fn back_up(&mut self) -> Result<(), Failure> {
        let disk = self.disk().durable_copy();
        let disk = disk.map_err(|reason| self.process_failed(reason.into()))?;
        let mut saved = self.saved.clone();
        if self.saves_every == Some(1) && self.raft().is_some() {
            saved = Some(self.service.clone());
        }
        self.backup = Some(Backup { disk, saved });
        Ok(())
    }

    /// Whether there is a copy of its disk.
    pub fn has_backup(&self) -> bool {
        self.backup.is_some()
    }

    /// Whether `membership` means this machine's disk by this node's number. A member whose
    /// incarnation is not named is the first disk under its number.
    pub fn is_named_in(&self, membership: &Membership) -> bool {
        if self.config.incarnation.is_none() {
            return true;
        }
        let member = membership.get(self.id());
        match member.and_then(|member| member.incarnation) {
            Some(named) => self.disk().incarnation() == Some(named),
            None => self.disk_number == 0,
        }
    }

    /// Whether `membership` names another disk under this node's number.
    pub fn is_foreign_to(&self, membership: &Membership) -> bool {
        let member = membership.get(self.id());
        let named = member.and_then(|member| member.incarnation);
        named.is_some() && named != self.disk().incarnation()
    }

    /// The disk is lost. The node comes back under its own number, with an empty one or with the
    /// copy that was put aside. An empty one joins the cluster, or begins as its predecessor did.
    pub fn come_back(&mut self, with_copy: bool, joins: bool) {
        self.kill();
        let backup = self.backup.clone().filter(|_| with_copy);
        let Backup { disk, saved } = backup.unwrap_or_default();
        self.last_membership = disk.membership();
        self.stored_membership = disk.membership();
        self.state = State::Down(Box::new(disk));
        self.saved = saved;
        if self.config.incarnation.is_none() || with_copy || joins {
            self.config.start = Start::Join;
        }
        self.faults.is_rotten = false;
        self.disk_number += 1;
    }

    /// Reads of the snapshot that the core uses return other bytes from now on, if the service has
    /// applied more since: it can make a newer one. Returns whether they do.
    pub fn decay(&mut self) -> bool {
        let State::Running(process) = &mut self.state else {
            return false;
        };
        let Some(id) = process.raft().snapshot().map(|snapshot| snapshot.id) else {
            return false;
        };
        let has_more = self.service.last.index > id.last.index;
        if has_more {
            process.disk_mut().decay(id);
        }
        has_more
    }

    /// Gives an input to the core, if it runs.
    ///
    /// # Errors
    ///
    /// [`Failure::Process`].
    pub fn handle<O: Observer>(
        &mut self,
        at: Time,
        input: Input,
        outputs: &mut Vec<Action>,
        observer: &mut O,
    ) -> Result<(), Failure> {
        let shown = self.clock.shows(at);
        let done = match self.process_at(at) {
            Some(process) => process.handle(shown, input, outputs, observer),
            None => Ok(()),
        };
        done.map_err(|reason| self.process_failed(reason))
    }

    /// A sync has ended that covered the writes up to `seq`.
    ///
    /// # Errors
    ///
    /// [`Failure::Process`].
    pub fn synced<O: Observer>(
        &mut self,
        at: Time,
        seq: Seq,
        outputs: &mut Vec<Action>,
        observer: &mut O,
    ) -> Result<(), Failure> {
        self.sync_ended();
        let shown = self.clock.shows(at);
        let done = match self.process_at(at) {
            Some(process) => process.synced(shown, seq, outputs, observer),
            None => Ok(()),
        };
        done.map_err(|reason| self.process_failed(reason))
    }

    /// The process, if it runs, with a disk whose reads fail if they do at this time.
    fn process_at(&mut self, at: Time) -> Option<&mut Process> {
        match &mut self.state {
            State::Running(process) => {
                let disk = process.disk_mut();
                disk.reads_fail = self.faults.reads_fail_until > at;
                disk.flaky = self.faults.flaky_disk.at(at);
                process.set_reads(match self.faults.slow_reads.at(at) {
                    Some(_) => DiskReads::Scheduled,
                    None => self.reads,
                });
                Some(process)
            }
            State::Down(_) => None,
        }
    }

    /// Takes the disk's answers, which the core gets some time later.
    pub fn take_delayed_answers(&mut self, take: impl FnMut(Input)) {
        if let State::Running(process) = &mut self.state {
            process.take_delayed_answers().for_each(take);
        }
    }

    /// When the core wants to be woken, by the world's clock.
    pub fn wake_at(&self) -> Time {
        match &self.state {
            State::Running(process) => self.clock.reaches(process.wake_at()),
            State::Down(_) => Time::NEVER,
        }
    }

    /// Begins a sync of all writes issued, if no running sync covers them and fewer than `parallel`
    /// run. Returns the last write that it covers.
    pub fn begin_sync(&mut self, parallel: u32) -> Option<Seq> {
        let State::Running(process) = &self.state else {
            return None;
        };
        let issued = process.issued();
        if issued <= self.syncs.covered || self.syncs.running >= parallel {
            return None;
        }
        self.syncs.running += 1;
        self.syncs.covered = issued;
        Some(issued)
    }

    /// A sync has ended.
    pub fn sync_ended(&mut self) {
        self.syncs.running = self.syncs.running.saturating_sub(1);
    }

    /// The first write that is not known to be on disk.
    pub fn first_unsynced(&self) -> Option<Seq> {
        let State::Running(process) = &self.state else {
            return None;
        };
        let persisted = process.disk().persisted();
        (persisted < process.issued()).then_some(persisted.next())
    }

    /// The bytes of all snapshots on the disk decay.
    pub fn decay_snapshots(&mut self) {
        self.disk_mut().decay_snapshots();
    }

    /// The node has another config from its next start on.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.receiver = Receiver::new(&self.config);
    }
}
