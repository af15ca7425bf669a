//! The service of a machine: what it is given to do, what it saves, and its snapshots.

use super::{Machine, State};
use crate::disk::Disk;
use crate::failure::Failure;
use crate::service::{CustomService, Service};
use crate::settings::ServiceSettings;
use bytes::Bytes;
use raft_proto::{Entries, Index, SnapshotId};
use std::collections::VecDeque;
use std::sync::Arc;

/// Something that the core gives to the service.
#[derive(Clone, Debug)]
pub enum ServiceTask {
    /// To apply these entries.
    Apply(Entries),
    /// To take over the state of this snapshot.
    Restore(SnapshotId),
}

/// The tasks that are not done yet, in the order in which the core gave them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    waiting: VecDeque<ServiceTask>,
    /// How many of them the service works at: entries that it applies together, or one snapshot.
    under_way: usize,
}

/// What makes services that have applied nothing.
#[derive(Debug)]
pub(super) struct EmptyService {
    max_sessions: u32,
    /// The service, if it is one of the user's own.
    custom: Option<Arc<dyn CustomService>>,
}

impl EmptyService {
    pub(super) fn of(settings: &ServiceSettings) -> EmptyService {
        EmptyService {
            max_sessions: settings.max_sessions,
            custom: None,
        }
    }

    fn make(&self) -> Service {
        match &self.custom {
            None => Service::new(self.max_sessions),
            Some(custom) => Service::of(self.max_sessions, custom.replica()),
        }
    }
}

impl Machine {
    /// The same machine with a service of the user's own, if there is one.
    pub(crate) fn serving(mut self, custom: Option<Arc<dyn CustomService>>) -> Machine {
        self.empty_service.custom = custom;
        self.service = self.empty_service.make();
        self
    }

    /// The core gives the service something to do.
    pub fn add_task(&mut self, task: ServiceTask) {
        self.tasks.waiting.push_back(task);
    }

    /// If the service is idle and has something to do, it begins. Returns the first of the tasks
    /// that it does together.
    pub fn begin_tasks(&mut self) -> Option<&ServiceTask> {
        let tasks = &mut self.tasks;
        if tasks.under_way > 0 {
            return None;
        }
        let applies = |task: &&ServiceTask| matches!(task, ServiceTask::Apply(_));
        let together = tasks.waiting.iter().take_while(applies).count();
        tasks.under_way = together.max(1).min(tasks.waiting.len());
        tasks.waiting.front()
    }

    /// Whether the service is at something.
    pub fn is_service_busy(&self) -> bool {
        self.tasks.under_way > 0
    }

    /// The service is at everything that it was given, and about to be done with it.
    pub fn finish_tasks(&mut self) {
        self.tasks.under_way = self.tasks.waiting.len();
    }

    /// The service has done what it began. Returns those tasks.
    pub fn take_done_tasks(&mut self) -> Vec<ServiceTask> {
        let count = core::mem::take(&mut self.tasks.under_way);
        let count = count.min(self.tasks.waiting.len());
        self.tasks.waiting.drain(..count).collect()
    }

    /// Loads the service when a process starts: what it has saved, or the recovered snapshot if
    /// that is newer.
    pub(super) fn load_service(&mut self, disk: &Disk) -> Result<(), Failure> {
        let node = self.id();
        let snapshot = disk.recovered_snapshot();
        self.snapshot = snapshot.map_or(Index::ZERO, |(meta, _)| meta.id.last.index);
        let newer = |saved: &&Service| saved.last.index > self.snapshot;
        self.service = match (self.saved.as_ref().filter(newer), snapshot) {
            (Some(saved), _) => saved.clone(),
            (None, Some((_, data))) => {
                let mut service = self.empty_service.make();
                let result = service.take_over(data);
                result.map_err(|reason| Failure::Snapshot { node, reason })?;
                service
            }
            (None, None) => self.empty_service.make(),
        };
        Ok(())
    }

    /// A fault of the user's own strikes the service, if the process runs.
    pub fn strike(&mut self, fault: usize) {
        if self.raft().is_some() {
            self.service.strike(fault);
        }
    }

    /// Whether the process has started with a service that was ahead of the snapshot.
    pub fn is_ahead_of_snapshot(&self) -> bool {
        self.service.last.index > self.snapshot
    }

    /// Entries were applied: a service that is durable by itself saves its state if that is due.
    pub fn save_if_due(&mut self) {
        let Some(every) = self.saves_every.filter(|every| *every > 1) else {
            return;
        };
        let saved = self.saved.as_ref();
        let saved = saved.map_or(Index::ZERO, |saved| saved.last.index);
        if self.service.last.index.since(saved) >= every {
            self.saved = Some(self.service.clone());
        }
    }

    /// The process ends. A service that saves its state after each entry has saved all.
    pub(super) fn save_at_end(&mut self) {
        if self.saves_every == Some(1) {
            self.saved = Some(self.service.clone());
        }
    }

    /// The service takes over the state of a snapshot that was installed.
    ///
    /// # Errors
    ///
    /// [`Failure::NoSnapshot`], [`Failure::Snapshot`].
    pub fn restore(&mut self, id: SnapshotId) -> Result<(), Failure> {
        let node = self.id();
        let data = match &self.state {
            State::Running(process) => process.disk().snapshot(id),
            State::Down(_) => None,
        };
        let data = data.ok_or(Failure::NoSnapshot { node })?;
        let result = self.service.take_over(data);
        result.map_err(|reason| Failure::Snapshot { node, reason })?;
        self.snapshot = self.snapshot.max(id.last.index);
        self.pending_commands.restored(id.last.index);
        if self.saves_every.is_some() {
            self.saved = Some(self.service.clone());
        }
        Ok(())
    }

    /// Makes a snapshot if the service has applied `every` entries since the last one.
    pub fn begin_snapshot(&mut self, every: u64, size: u64) -> Option<(SnapshotId, Bytes)> {
        let is_due = self.service.last.index.since(self.snapshot) >= every.max(1);
        if self.raft().is_none() || !is_due {
            return None;
        }
        self.snapshot = self.service.last.index;
        Some(self.service.snapshot(size))
    }

    /// The bytes of a snapshot that the service has made are on the disk.
    pub fn snapshot_written(&mut self, id: SnapshotId, data: Bytes) {
        if let State::Running(process) = &mut self.state {
            process.store_snapshot(id, data);
        }
    }
}
