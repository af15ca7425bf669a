//! One server of a run: its process while its process lives, its disk while it does not, its
//! service, and what ails it.

use crate::clock::Clock;
use crate::disk::Disk;
use crate::failure::Failure;
use crate::pending_commands::PendingCommands;
use crate::process::{DiskReads, DiskSyncs, Process, ProcessError};
use crate::random::Random;
use crate::recorder::Recorder;
use crate::service::{Applied, DamagedCommand, Service};
use bytes::Bytes;
use core::time::Duration;
use raft_proto::wire::Receiver;
use raft_proto::{
    Action, Config, Entries, EntryId, Index, Input, Membership, NodeId, Raft, RequestId, Seq,
    SnapshotId, Start, Time,
};

#[derive(Debug)]
enum Power {
    On(Box<Process>),
    Off(Box<Disk>),
}

/// Syncs that run.
#[derive(Clone, Copy, Debug, Default)]
struct Syncs {
    running: u32,
    /// The last write that any of them covers.
    covered: Seq,
}

/// What is wrong with a server beside that it may be down.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineFaults {
    /// Each sync takes longer, by up to this much until then.
    pub slow_disk: (Duration, Time),
    /// DiskReads from the disk fail until then.
    pub reads_fail: Time,
    /// The next sync fails, and the outage that follows lasts so long.
    pub next_write_fails: Option<Duration>,
    /// What its disk holds has decayed: it cannot be opened again.
    pub is_rotten: bool,
}

impl MachineFaults {
    fn reads_fail(&self, at: Time) -> bool {
        self.reads_fail > at
    }
}

/// One server.
#[derive(Debug)]
pub struct Machine {
    power: Power,
    config: Config,
    /// Its clock.
    pub clock: Clock,
    receiver: Receiver,
    max_sessions: u32,
    reads: DiskReads,
    /// Its state machine; that of the last snapshot after a restart.
    pub service: Service,
    /// Proposals that its clients wait for.
    pub outstanding: PendingCommands,
    /// DiskReads that the core has allowed, and that wait until the service is at this index.
    pub allowed: Vec<(Index, RequestId)>,
    /// What is wrong with it.
    pub faults: MachineFaults,
    /// The entry since which its configuration is in force, or a later one.
    pub members_since: Index,
    /// That configuration, and the one before it, as far as it has told of them.
    members: [Membership; 2],
    /// The configuration that it knew when it went down.
    last_membership: Membership,
    /// The one that it would find on its disk if it lost power now, while it is down.
    stored_membership: Membership,
    /// How often it was started or stopped.
    pub(crate) incarnation: u32,
    /// The earliest of its timers in the world's queue.
    pub(crate) timer: Time,
    syncs: Syncs,
    /// The last entry of the latest snapshot, made or being made.
    snapshot: Index,
}

impl Machine {
    /// A server with an empty disk and no power.
    pub fn new(config: Config, clock: Clock, max_sessions: u32, reads: DiskReads) -> Machine {
        Machine {
            power: Power::Off(Box::default()),
            receiver: Receiver::new(&config),
            config,
            clock,
            max_sessions,
            reads,
            service: Service::new(max_sessions),
            outstanding: PendingCommands::default(),
            allowed: Vec::new(),
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

    /// Its core, while it runs.
    pub fn raft(&self) -> Option<&Raft> {
        match &self.power {
            Power::On(process) => Some(process.raft()),
            Power::Off(_) => None,
        }
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who it is.
    pub fn id(&self) -> NodeId {
        self.config.node_id
    }

    /// What reads the frames that are sent to it.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Its disk.
    pub fn disk(&self) -> &Disk {
        match &self.power {
            Power::On(process) => process.disk(),
            Power::Off(disk) => disk,
        }
    }

    /// The configuration that it knows, or knew when it went down.
    pub fn membership(&self) -> &Membership {
        match &self.power {
            Power::On(process) => process.raft().membership(),
            Power::Off(_) => &self.last_membership,
        }
    }

    /// Another configuration is in force, since the entry `index`.
    pub fn members_changed(&mut self, index: Index, membership: Membership) {
        self.members_since = index;
        let before = core::mem::replace(&mut self.members[0], membership);
        self.members[1] = before;
    }

    /// The configuration that has been in force since that entry: the latest, or the one before.
    pub fn membership_at(&self, since: Index) -> &Membership {
        let [latest, before] = &self.members;
        match since == self.members_since || before.is_empty() {
            true => latest,
            false => before,
        }
    }

    /// The configuration by which it would stand for election: if it is down, that on its disk.
    pub fn own_membership(&self) -> &Membership {
        match &self.power {
            Power::On(process) => process.raft().membership(),
            Power::Off(_) => &self.stored_membership,
        }
    }

    /// The last entry of its log; of that on its disk while it is down.
    pub fn last_log(&self) -> EntryId {
        match &self.power {
            Power::On(process) => process.raft().last_log(),
            Power::Off(disk) => disk.last_id(),
        }
    }

    fn host_failed(&self, reason: ProcessError) -> Failure {
        Failure::Process {
            node: self.id(),
            reason,
        }
    }

    /// Starts it with what its disk holds, and loads the service. Returns the index up to which
    /// the service is. Does nothing to a node that runs.
    ///
    /// # Errors
    ///
    /// [`Failure::Process`], [`Failure::Snapshot`].
    pub fn start(&mut self, seed: u64) -> Result<Index, Failure> {
        let node = self.id();
        let Power::Off(disk) = &mut self.power else {
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
        self.service = match disk.recovered_snapshot() {
            Some((_, data)) => {
                Service::restore(data).map_err(|reason| Failure::Snapshot { node, reason })?
            }
            None => Service::new(self.max_sessions),
        };
        self.snapshot = self.service.last.index;
        self.config.seed = seed;
        let process = Process::start(self.config.clone(), *disk, DiskSyncs::Scheduled);
        let mut process = process.map_err(|reason| self.host_failed(reason))?;
        process.set_reads(self.reads);
        self.power = Power::On(Box::new(process));
        self.incarnation += 1;
        self.members_since = self.last_log().index;
        self.members = [self.membership().clone(), Membership::default()];
        Ok(self.service.last.index)
    }

    /// Ends its process. What it wrote is there, synced or not.
    pub fn kill(&mut self) {
        let off = Power::Off(Box::default());
        self.power = match core::mem::replace(&mut self.power, off) {
            Power::On(process) => {
                self.last_membership = process.raft().membership().clone();
                Power::Off(Box::new(process.kill()))
            }
            off @ Power::Off(_) => off,
        };
        self.stored_membership = self.disk().membership();
        self.incarnation += 1; // What is under way belongs to the incarnation that ends.
        self.outstanding = PendingCommands::default();
        self.allowed.clear();
        self.syncs = Syncs::default();
        self.timer = Time::NEVER;
    }

    /// Its machine loses power while no process runs: what was not synced may go. Returns whether
    /// a torn write is left.
    pub fn lose_power(&mut self, random: &mut Random) -> bool {
        match &mut self.power {
            Power::Off(disk) => disk.lose_power(random),
            Power::On(_) => false,
        }
    }

    /// Its disk is lost, and another one stands in its place, with another identity.
    pub fn replace(&mut self, id: NodeId) {
        self.kill();
        self.power = Power::Off(Box::default());
        self.config.node_id = id;
        self.config.start = Start::Join;
        self.receiver = Receiver::new(&self.config);
        self.faults.is_rotten = false;
        self.last_membership = Membership::default();
        self.stored_membership = Membership::default();
    }

    /// Gives an input to the core, if it runs.
    pub fn handle(
        &mut self,
        at: Time,
        input: Input,
        outputs: &mut Vec<Action>,
        recorder: &mut Recorder,
    ) {
        let fails = self.faults.reads_fail(at);
        if let Power::On(process) = &mut self.power {
            process.disk_mut().reads_fail = fails;
            if let Err(reason) = process.handle(self.clock.shows(at), input, outputs, recorder) {
                recorder.fail(self.host_failed(reason));
            }
        }
    }

    /// What its disk will have answered some time later.
    pub fn take_late(&mut self, take: impl FnMut(Input)) {
        if let Power::On(process) = &mut self.power {
            process.take_late().for_each(take);
        }
    }

    /// When the core wants to be woken, by the world's clock.
    pub fn wake_at(&self) -> Time {
        match &self.power {
            Power::On(process) => self.clock.reaches(process.wake_at()),
            Power::Off(_) => Time::NEVER,
        }
    }

    /// Begins a sync of all writes issued, if there are any that no running one covers and fewer
    /// than `parallel` run.
    pub fn begin_sync(&mut self, parallel: u32) -> Option<Seq> {
        let Power::On(process) = &self.power else {
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

    /// A sync ended that told of nothing new.
    pub fn sync_ended(&mut self) {
        self.syncs.running = self.syncs.running.saturating_sub(1);
    }

    /// The first write that is not known to be on disk.
    pub fn first_unsynced(&self) -> Option<Seq> {
        let Power::On(process) = &self.power else {
            return None;
        };
        let persisted = process.disk().persisted();
        (persisted < process.issued()).then_some(persisted.next())
    }

    /// A sync ended.
    pub fn synced(
        &mut self,
        at: Time,
        seq: Seq,
        outputs: &mut Vec<Action>,
        recorder: &mut Recorder,
    ) {
        self.syncs.running = self.syncs.running.saturating_sub(1);
        let fails = self.faults.reads_fail(at);
        if let Power::On(process) = &mut self.power {
            process.disk_mut().reads_fail = fails;
            if let Err(reason) = process.sync_done(self.clock.shows(at), seq, outputs, recorder) {
                recorder.fail(self.host_failed(reason));
            }
        }
    }

    /// The service applies what the core handed out.
    ///
    /// # Errors
    ///
    /// [`DamagedCommand`] for a command that no client sent.
    pub fn apply(
        &mut self,
        entries: &Entries,
        applied: &mut Vec<Applied>,
    ) -> Result<(), DamagedCommand> {
        self.service.apply(entries, applied)
    }

    /// The service takes over the state of a snapshot that was installed.
    ///
    /// # Errors
    ///
    /// [`Failure::NoSnapshot`], [`Failure::Snapshot`].
    pub fn restore(&mut self, id: SnapshotId) -> Result<(), Failure> {
        let node = self.id();
        let data = match &self.power {
            Power::On(process) => process.disk().snapshot(id),
            Power::Off(_) => None,
        };
        let data = data.ok_or(Failure::NoSnapshot { node })?;
        self.service =
            Service::restore(data).map_err(|reason| Failure::Snapshot { node, reason })?;
        self.snapshot = self.snapshot.max(id.last.index);
        self.outstanding.restored(id.last.index);
        Ok(())
    }

    /// Makes a snapshot if the service has applied `every` entries since the last one.
    pub fn begin_snapshot(&mut self, every: u64, size: u64) -> Option<(SnapshotId, Bytes)> {
        let is_new = self.service.last.index.since(self.snapshot) >= every.max(1);
        if self.raft().is_none() || !is_new {
            return None;
        }
        self.snapshot = self.service.last.index;
        Some(self.service.snapshot(size))
    }

    /// The bytes of a snapshot of its own are on the disk.
    pub fn snapshot_written(&mut self, id: SnapshotId, data: Bytes) {
        if let Power::On(process) = &mut self.power {
            process.store_snapshot(id, data);
        }
    }
}
