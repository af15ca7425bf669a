//! A storage in a folder of its own: a log in segments, made for consensus, and a file for each
//! snapshot.
//!
//! # The folder
//!
//! | name | holds |
//! |---|---|
//! | `FORMAT` | the version of all that follows, and the folder's incarnation |
//! | `LOCK` | nothing; locked by the process that uses the folder |
//! | `log/0000000000000001.log` | a segment of the log; the numbers rise by one |
//! | `log/spare` | an old segment that will be the next one, or one that is being made |
//! | `mark` | the acknowledged mark: what was reported as durable |
//! | `snapshots/` | the snapshots' bytes, a file each, and beside each whose work its state is |
//! | `damaged/` | segments that were damaged when the folder was mended; never read again |
//!
//! # The bytes
//!
//! All numbers are little-endian. A segment is preallocated, and begins with a page of its own:
//!
//! ```text
//!  0         8         12        16            32        40        48
//!  +---------+---------+---------+-------------+---------+---------+
//!  |RAFT LOG | check   | version | incarnation | cluster | node    |
//!  +---------+---------+---------+-------------+---------+---------+
//!  48        56           64            72       76        80                   4096
//!  +---------+------------+-------------+--------+---------+--------+----------+
//!  | number  | first seq  | next index  | before | changes | length | state    |
//!  +---------+------------+-------------+--------+---------+--------+----------+
//! ```
//!
//! `check` is the CRC-32C of the page from `version` on, `before` the checksum of the record before
//! the segment's first one, `changes` as in a record. The state before the segment, which its first
//! record holds, stands here a second time (with its length).
//!
//! Records follow one another. Each begins at a multiple of 8, and is one [`Write`], or the state:
//!
//! ```text
//!  0       4       8          12       16      20      24      28      32      36      40
//!  +-------+-------+----------+--------+-------+-------+-------+-------+-------+-------+
//!  | rec.  | check | checksum | before | body  | kind  | extra | count | runs  | chang.|
//!  +-------+-------+----------+--------+-------+-------+-------+-------+-------+-------+
//!  40            48            56            64            72            80           88
//!  +-------------+-------------+-------------+-------------+-------------+-------------+
//!  | seq         | synced      | group       | term        | vote        | first       |
//!  +-------------+-------------+-------------+-------------+-------------+-------------+
//!  88                                                           + body, a multiple of 8
//!  +-------+-----------------+-------------------------------------+----------+--------+
//!  | extra | count x         | runs x                              | payloads | zeros  |
//!  |       | (length: u32)   | (term: u64, count: u32, kind: u32)  |          |        |
//!  +-------+-----------------+-------------------------------------+----------+--------+
//! ```
//!
//! * `check` is the CRC-32C of the place (incarnation, segment, offset) and of the header from
//!   `checksum` on. `checksum` is that of the place, of the header from `before` on, and of the
//!   body. `before` is the checksum of the record before. So a record that is stale, misplaced or
//!   swapped is seen.
//! * `seq` numbers the records of all segments from 1 on. All up to `synced` were durable before
//!   this one was written.
//! * `kind` is 1 for the state and 2 for a write; 256 is added if there is a vote, 512 if the
//!   record does more than to append entries and to set the term and the vote. `changes` counts
//!   those records up to this one. `term` and `vote` are the hard state after the record: the last
//!   record suffices to know it.
//! * `first` is the index of the first of `count` entries, which replace all entries from there on.
//!   Their terms and kinds stand in runs.
//! * `extra` holds what a write has beside the hard state and the entries, and now and then what
//!   earlier entries were (the module `digest`); or the state: identity,
//!   snapshot, first and last entry. Each segment begins with the state, and so does each instance.
//!
//! One call of [`write`](Storage::write) is one `pwritev` and one `fdatasync`.
//!
//! # What is kept
//!
//! The log begins after the index to which it was compacted. Segments all of whose entries are
//! dropped or replaced are deleted; one of them is kept to be the next segment. In memory is only
//! where the entries are, a number for every 64 KiB or more.
//!
//! # Damage
//!
//! Opening a folder reads all of the log, and writes nothing before all of it is understood. A
//! record that was acknowledged and is not what was written is damage: the folder is refused, or
//! mended ([`OnDamage`]). What a peer has of it is fetched, and taken if it is exactly what was
//! there: a digest of each stretch of the log is kept in a second place (the modules `digest` and
//! `plan`), and survives the loss of any sector or page. In place of entries that all peers have
//! compacted, and of a snapshot that has decayed, a peer's snapshot is taken (`rescue`). What
//! cannot be had so is sent by the leader (`mend`). A torn write at the end that was never
//! acknowledged is dropped. [`inspect()`] shows all of that, and changes nothing. The module `scan`
//! tells the two apart.
//!
//! [`Storage::scrub`] finds the same in a folder that is in use, in all segments but the newest and
//! in the snapshots. The module `scrub` says why nothing that the storage does meanwhile is taken
//! for damage.

mod batch;
mod bytes;
mod damage;
mod description;
mod digest;
pub mod files;
mod folder;
mod inspect;
mod log;
mod lost;
mod mark;
mod mend;
mod opening;
mod options;
mod pieces;
mod plan;
mod reader;
mod reading;
mod record;
mod rescue;
mod scan;
mod scrub;
mod segment;
mod snapshots;
mod state;
mod understood;
mod writing;

pub use damage::Damage;
pub use inspect::{Inspection, inspect, inspect_with};
pub use mark::Acknowledged;
pub use options::{DiskOptions, OnDamage};

use super::{Incomplete, Scrub, Snapshots, Storage, StorageError};
use files::{Files, Purpose, System};
use folder::Lock;
use log::Log;
use mend::Kept;
use opening::Mendable;
use plan::Plan;
use raft_proto::{Entries, EntryId, Index, Recovered, SnapshotMeta, Write};
use reading::Reading;
use record::Place;
use rescue::Rescue;
use scan::understand;
use scrub::FolderScrub;
use snapshots::SnapshotFiles;
use state::{Spans, State};
use std::path::PathBuf;
use std::sync::Arc;
use understood::Understood;

/// A storage in a folder of its own. See the [module](self).
pub struct DiskStorage {
    folder: PathBuf,
    files: Arc<dyn Files>,
    snapshots: Arc<SnapshotFiles>,
    log: Log,
    state: State,
    spans: Spans,
    incarnation: u128,
    acknowledged: Acknowledged,
    damages: Vec<Damage>,
    /// What was found, until it is recovered.
    found: Option<Found>,
    /// A write has failed: what the disk holds is not known.
    is_failed: bool,
    /// The last to be dropped.
    _lock: Lock,
}

struct Found {
    entries: Entries,
    leftovers: Vec<PathBuf>,
    /// What the log begins anew with, if it is damaged.
    kept: Option<Kept>,
    /// How it becomes what it was instead, if it can.
    plan: Option<Plan>,
    /// What a snapshot of a peer is put together with.
    rescue: Option<Rescue>,
    /// That, with such a snapshot.
    rescued: Option<Kept>,
    /// The entries that are whole, for peers, if there is nothing else to mend.
    whole: Vec<Entries>,
}

impl std::fmt::Debug for DiskStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStorage")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl DiskStorage {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    ///
    /// [`StorageError::InUse`] if it is open already, [`StorageError::UnknownVersion`],
    /// [`StorageError::Damaged`] if anything that was acknowledged is not there, and those of the
    /// operating system. A folder that is refused is as it was.
    pub fn open(folder: impl Into<PathBuf>) -> Result<DiskStorage, StorageError> {
        DiskStorage::open_with(Arc::new(System), folder, DiskOptions::default())
    }

    /// Opens the folder, or makes it, in this file system.
    ///
    /// # Errors
    ///
    /// As [`open`](DiskStorage::open).
    pub fn open_with(
        files: Arc<dyn Files>,
        folder: impl Into<PathBuf>,
        options: DiskOptions,
    ) -> Result<DiskStorage, StorageError> {
        let folder = folder.into();
        let (lock, incarnation) = opening::lock(&*files, &folder, options)?;
        let understood = understand(
            &*files,
            &folder,
            incarnation,
            Purpose::Write,
            &mut |_, _| (),
        )?;
        let snapshots = SnapshotFiles::new(files.clone(), &folder);
        let damages = opening::find_damages(&understood, &snapshots, options.on_damage)?;
        let mended = opening::mend_or_refuse(
            &understood,
            &snapshots,
            &damages,
            options.on_damage,
            incarnation,
        )?;
        let Mendable { kept, plan, rescue } = mended;
        let runs = rescue.as_ref().and_then(|_| understood.whole_runs());
        let entries = opening::recovered_entries(&understood, kept.as_ref(), &folder)?;
        let Understood {
            state,
            spans,
            segments,
            leftovers,
            mark,
            tail,
            acknowledged,
            whole,
            ..
        } = understood;
        if tail.is_torn {
            tracing::info!(folder = %folder.display(), "a write at the log's end was not complete: it is dropped");
        }
        let segment_bytes = options.segment_bytes.max(DiskOptions::LEAST_SEGMENT_BYTES);
        let found = Some((segments, mark, tail));
        let mut log = Log::new(files.clone(), &folder, incarnation, segment_bytes, found)?;
        log.describe(whole.described.last(), &entries);
        Ok(DiskStorage {
            folder,
            files,
            snapshots: Arc::new(snapshots),
            log,
            state,
            spans,
            incarnation,
            acknowledged,
            damages,
            found: Some(Found {
                entries,
                leftovers,
                kept,
                plan,
                rescue,
                rescued: None,
                whole: runs.unwrap_or_default(),
            }),
            is_failed: false,
            _lock: lock,
        })
    }

    /// Drawn when the folder was made: no two folders have the same.
    pub fn incarnation(&self) -> u128 {
        self.incarnation
    }

    /// What this storage may have acknowledged when it was opened: the last entry, and the term and
    /// the vote. All of that is in what it recovers, but for entries that are lost
    /// ([`OnDamage::Mend`]).
    pub fn acknowledged(&self) -> Acknowledged {
        self.acknowledged
    }

    /// What was damaged when the folder was opened. Empty unless it is mended.
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// The log begins anew with what is whole of it.
    fn begin_anew(&mut self, kept: Kept) -> Result<(), StorageError> {
        let segment_bytes = self.log.segment_bytes();
        let files = self.files.clone();
        let begun = kept.begin(&*files, &self.folder, self.incarnation, segment_bytes)?;
        let before = self.log.replace_with(begun.segment, begun.tail)?;
        mend::put_aside(&*files, &self.folder, &before)?;
        self.log.describer = begun.describer;
        (self.state, self.spans) = (kept.state, begun.spans);
        Ok(())
    }

    fn read(&self, mut reading: Reading, from: Index) -> Result<Option<Entries>, StorageError> {
        if from <= self.state.floor {
            return Ok(None);
        }
        for (_, span) in self.spans.from(from) {
            if reading.is_done() {
                break;
            }
            let segment = self.log.segment(span.segment);
            let segment = segment.ok_or_else(|| self.damaged("a segment is gone".into()))?;
            let place = Place::in_segment(self.incarnation, span.segment);
            reading.span(segment, place, span)?;
        }
        Ok(reading.finish())
    }

    fn damaged(&self, what: String) -> StorageError {
        folder::damaged(&self.log.path(), what)
    }
}

impl Storage for DiskStorage {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        let found = self.found.take();
        let again = || StorageError::Contract("it was recovered already".into());
        let Found {
            entries,
            leftovers,
            kept,
            plan,
            rescued,
            ..
        } = found.ok_or_else(again)?;
        self.is_failed = true;
        let whole = plan.filter(Plan::is_complete).and_then(Plan::complete);
        let whole = whole.or(rescued);
        let entries = whole
            .as_ref()
            .map_or(entries, |whole| whole.entries.clone());
        if let Some(kept) = whole.or(kept) {
            match kept.state.lost {
                Some(lost) => tracing::error!(
                    kept = %kept.state.last,
                    acknowledged = %lost,
                    "entries are lost: this node does not vote before its peers have sent them again"
                ),
                None => tracing::warn!("the log is mended: nothing that was acknowledged is lost"),
            }
            self.begin_anew(kept)?;
        }
        self.snapshots.keep_only(self.state.snapshot_id())?;
        for path in leftovers {
            let removed = self.files.remove(&path);
            removed.map_err(folder::failed("delete", &path))?;
        }
        self.state.instance += 1;
        self.log.resume(&self.state)?;
        self.is_failed = false;
        Ok(Recovered {
            identity: self.state.identity.clone(),
            hard_state: self.state.hard_state,
            snapshot: self.state.snapshot.clone(),
            entries,
            applied: None,
            impaired: self.state.lost,
        })
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        if std::mem::replace(&mut self.is_failed, true) {
            let what = "a write after one that failed";
            return Err(StorageError::Contract(what.into()));
        }
        if self.found.is_some() {
            let what = "a write before the storage was recovered";
            return Err(StorageError::Contract(what.into()));
        }
        if !writes.is_empty() {
            self.write_all(writes)?;
        }
        self.is_failed = false;
        Ok(())
    }

    fn read_entries(
        &mut self,
        from: EntryId,
        to: EntryId,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        self.read(Reading::new(from, to, max_bytes), from.index)
    }

    fn snapshots(&self) -> Arc<dyn Snapshots> {
        self.snapshots.clone()
    }

    fn scrub(&self) -> Option<Arc<dyn Scrub>> {
        Some(Arc::new(FolderScrub {
            files: self.files.clone(),
            folder: self.folder.clone(),
            incarnation: self.incarnation,
        }))
    }

    fn incomplete(&self) -> Option<Incomplete> {
        let found = self.found.as_ref()?;
        let at_least = found.rescue.as_ref().map(Rescue::at_least);
        let planned = found.plan.as_ref().and_then(Plan::incomplete);
        let planned = planned.map(|planned| Incomplete {
            snapshot_at_least: at_least,
            ..planned
        });
        planned.or_else(|| {
            Some(Incomplete {
                identity: self.state.identity.clone()?,
                snapshot: self.state.snapshot.clone(),
                whole: found.whole.clone(),
                missing: Vec::new(),
                snapshot_at_least: Some(at_least?),
            })
        })
    }

    fn adopt(&mut self, snapshot: &SnapshotMeta) -> bool {
        let Some(found) = &mut self.found else {
            return false;
        };
        found.rescued = found.rescue.as_ref().and_then(|it| it.with(snapshot));
        found.rescued.is_some()
    }

    fn supply(&mut self, at: usize, parts: &[Entries]) -> bool {
        let plan = self.found.as_mut().and_then(|found| found.plan.as_mut());
        plan.is_some_and(|plan| plan.supply(at, parts))
    }

    fn fetch(
        &mut self,
        first: Index,
        last: Index,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        self.read(Reading::at(first, last, max_bytes), first)
    }
}

impl Drop for DiskStorage {
    fn drop(&mut self) {
        // If it fails, the mark says too little after a power failure.
        if !self.is_failed && self.found.is_none() {
            let _ = self.log.sync_mark();
        }
    }
}
