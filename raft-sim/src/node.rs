//! One server of a run: its host while it has power, its disk while it has not, its service.

use crate::clock::Clock;
use crate::disk::Disk;
use crate::failure::Failure;
use crate::host::{Host, HostError, Sync};
use crate::random::Random;
use crate::recorder::Recorder;
use crate::service::Service;
use crate::workload::{Answers, Outstanding};
use bytes::Bytes;
use raft_proto::wire::Receiver;
use raft_proto::{Action, Config, Entries, Index, Input, Raft, Seq, SnapshotId, Time};

/// The sessions that a service keeps.
const MAX_SESSIONS: u32 = 64;

#[derive(Debug)]
enum Power {
    On(Box<Host>),
    Off(Box<Disk>),
}

/// Syncs that run.
#[derive(Clone, Copy, Debug, Default)]
struct Syncs {
    running: u32,
    /// The last write that any of them covers.
    covered: Seq,
}

/// One server.
#[derive(Debug)]
pub struct Node {
    power: Power,
    config: Config,
    clock: Clock,
    receiver: Receiver,
    /// Its state machine; that of the last snapshot after a restart.
    pub service: Service,
    /// Proposals that its clients wait for.
    pub outstanding: Outstanding,
    /// How often it was started.
    pub(crate) life: u32,
    /// The earliest of its timers in the world's queue.
    pub(crate) timer: Time,
    syncs: Syncs,
    /// The last entry of the latest snapshot, made or being made.
    snapshot: Index,
}

impl Node {
    /// A server with an empty disk and no power.
    pub fn new(config: Config, clock: Clock) -> Node {
        Node {
            power: Power::Off(Box::default()),
            receiver: Receiver::new(&config),
            config,
            clock,
            service: Service::new(MAX_SESSIONS),
            outstanding: Outstanding::default(),
            life: 0,
            timer: Time::NEVER,
            syncs: Syncs::default(),
            snapshot: Index::ZERO,
        }
    }

    /// Its core, while it runs.
    pub fn raft(&self) -> Option<&Raft> {
        match &self.power {
            Power::On(host) => Some(host.raft()),
            Power::Off(_) => None,
        }
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What reads the frames that are sent to it.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    fn host_failed(&self, reason: HostError) -> Failure {
        Failure::Host {
            node: self.config.node_id,
            reason,
        }
    }

    /// Starts it with what its disk holds, and loads the service. Returns the index up to which
    /// the service is. Does nothing to a node that runs.
    ///
    /// # Errors
    ///
    /// [`Failure::Host`], [`Failure::Snapshot`].
    pub fn start(&mut self, seed: u64) -> Result<Index, Failure> {
        let Power::Off(disk) = &mut self.power else {
            return Ok(self.service.last.index);
        };
        let disk = core::mem::take(disk);
        self.service = match disk.recovered_snapshot() {
            Some((_, data)) => Service::restore(data).map_err(|reason| Failure::Snapshot {
                node: self.config.node_id,
                reason,
            })?,
            None => Service::new(MAX_SESSIONS),
        };
        self.snapshot = self.service.last.index;
        self.config.seed = seed;
        let host = Host::start(self.config.clone(), *disk, Sync::Scheduled);
        self.power = Power::On(Box::new(host.map_err(|reason| self.host_failed(reason))?));
        self.life += 1;
        Ok(self.service.last.index)
    }

    /// Takes its power away.
    ///
    /// # Errors
    ///
    /// [`Failure::Host`] if the writes that survive contradict each other.
    pub fn crash(&mut self, random: &mut Random) -> Result<(), Failure> {
        let off = Power::Off(Box::default());
        if let Power::On(host) = core::mem::replace(&mut self.power, off) {
            let disk = host
                .crash(random)
                .map_err(|reason| self.host_failed(reason))?;
            self.power = Power::Off(Box::new(disk));
        }
        self.life += 1; // What is under way belongs to the life that ends.
        self.outstanding = Outstanding::default();
        self.syncs = Syncs::default();
        Ok(())
    }

    /// Gives an input to the core, if it runs.
    pub fn handle(
        &mut self,
        at: Time,
        input: Input,
        outputs: &mut Vec<Action>,
        recorder: &mut Recorder,
    ) {
        if let Power::On(host) = &mut self.power
            && let Err(reason) = host.handle(self.clock.shows(at), input, outputs, recorder)
        {
            recorder.fail(self.host_failed(reason));
        }
    }

    /// When the core wants to be woken, by the world's clock.
    pub fn wake_at(&self) -> Time {
        match &self.power {
            Power::On(host) => self.clock.reaches(host.wake_at()),
            Power::Off(_) => Time::NEVER,
        }
    }

    /// Begins a sync of all writes issued, if there are any that no running one covers and fewer
    /// than `parallel` run.
    pub fn begin_sync(&mut self, parallel: u32) -> Option<Seq> {
        let Power::On(host) = &self.power else {
            return None;
        };
        let issued = host.issued();
        if issued <= self.syncs.covered || self.syncs.running >= parallel {
            return None;
        }
        self.syncs.running += 1;
        self.syncs.covered = issued;
        Some(issued)
    }

    /// The first write that is not known to be on disk.
    pub fn first_unsynced(&self) -> Option<Seq> {
        let Power::On(host) = &self.power else {
            return None;
        };
        let persisted = host.disk().persisted();
        (persisted < host.issued()).then_some(persisted.next())
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
        if let Power::On(host) = &mut self.power
            && let Err(reason) = host.sync_done(self.clock.shows(at), seq, outputs, recorder)
        {
            recorder.fail(self.host_failed(reason));
        }
    }

    /// The service applies what the core handed out.
    pub fn apply(&mut self, entries: &Entries) -> Answers {
        let _ = self.service.apply(entries, &mut Vec::new()); // Its clients do not speak it yet.
        self.outstanding.applied(entries)
    }

    /// The service takes over the state of a snapshot that was installed.
    ///
    /// # Errors
    ///
    /// [`Failure::NoSnapshot`], [`Failure::Snapshot`].
    pub fn restore(&mut self, id: SnapshotId) -> Result<(), Failure> {
        let node = self.config.node_id;
        let data = match &self.power {
            Power::On(host) => host.disk().snapshot(id),
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
        if self.service.last.index.since(self.snapshot) < every {
            return None;
        }
        self.snapshot = self.service.last.index;
        Some(self.service.snapshot(size))
    }

    /// The bytes of a snapshot of its own are on the disk.
    pub fn snapshot_written(&mut self, id: SnapshotId, data: Bytes) {
        if let Power::On(host) = &mut self.power {
            host.store_snapshot(id, data);
        }
    }
}
