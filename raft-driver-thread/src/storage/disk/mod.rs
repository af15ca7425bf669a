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
//! | `snapshots/` | the snapshots' bytes, a file each |
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
//!  48        56           64            72       76             4096
//!  +---------+------------+-------------+--------+----------------+
//!  | number  | first seq  | next index  | before |  zeros         |
//!  +---------+------------+-------------+--------+----------------+
//! ```
//!
//! `check` is the CRC-32C of the page from `version` on, `before` the checksum of the record before
//! the segment's first one.
//!
//! Records follow one another. Each begins at a multiple of 8, and is one [`Write`], or the state:
//!
//! ```text
//!  0       4       8          12       16      20      24      28      32      36      40
//!  +-------+-------+----------+--------+-------+-------+-------+-------+-------+-------+
//!  | rec.  | check | checksum | before | body  | kind  | extra | count | runs  |   0   |
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
//! * `kind` is 1 for the state and 2 for a write; 256 is added if there is a vote. `term` and
//!   `vote` are the hard state after the record: the last record suffices to know it.
//! * `first` is the index of the first of `count` entries, which replace all entries from there on.
//!   Their terms and kinds stand in runs.
//! * `extra` holds what a write has beside the hard state and the entries; or the state: identity,
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
//! mended ([`OnDamage`]). A torn write at the end that was never acknowledged is dropped.
//! [`inspect()`] shows all of that, and changes nothing. The module `scan` tells the two apart.

mod batch;
mod bytes;
mod damage;
mod digest;
pub mod files;
mod folder;
mod inspect;
mod log;
mod lost;
mod mark;
mod mend;
mod pieces;
mod plan;
mod reader;
mod reading;
mod record;
mod scan;
mod segment;
mod snapshots;
mod state;

pub use damage::Damage;
pub use inspect::{Inspection, inspect, inspect_with};
pub use mark::Acknowledged;

use super::{Incomplete, Snapshots, Storage, StorageError};
use files::{Files, Purpose, System};
use folder::Lock;
use log::Log;
use mend::Kept;
use plan::Plan;
use raft_proto::{Entries, EntryId, Index, Recovered, Write};
use reading::Reading;
use record::{Appended, Place, WriteExtra};
use scan::{Understood, understand};
use snapshots::SnapshotFiles;
use state::{Spans, State};
use std::path::PathBuf;
use std::sync::Arc;

/// How a [`DiskStorage`] uses its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// How long a segment is, in bytes. At least [`LEAST_SEGMENT_BYTES`]. A write that is longer
    /// gets a longer segment of its own. Default 32 MiB.
    ///
    /// [`LEAST_SEGMENT_BYTES`]: DiskOptions::LEAST_SEGMENT_BYTES
    pub segment_bytes: u64,
    /// The incarnation that a new folder gets. `None`, the default: it is drawn.
    pub incarnation: Option<u128>,
    /// What is done with a folder that is damaged. Refused by default.
    pub on_damage: OnDamage,
}

/// What is done with a folder in which something that was acknowledged is not what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDamage {
    /// It is refused, and left as it is.
    #[default]
    Refuse,
    /// It is opened with what is whole, and the node is sent the rest by its peers: see
    /// [`Recovered::impaired`]. The damaged segments are moved to the folder `damaged`. Refused is
    /// only a folder of which it is not clear what was acknowledged.
    Mend,
}

impl DiskOptions {
    /// The least value of [`segment_bytes`](DiskOptions::segment_bytes). A lower one is raised.
    pub const LEAST_SEGMENT_BYTES: u64 = 8 << 10;
}

impl Default for DiskOptions {
    fn default() -> DiskOptions {
        DiskOptions {
            segment_bytes: 32 << 20,
            incarnation: None,
            on_damage: OnDamage::Refuse,
        }
    }
}

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
        if folder::read_format(&*files, &folder)?.is_none() {
            folder::prepare(&*files, &folder)?;
        }
        let lock = folder::lock(&*files, &folder, Purpose::Create)?;
        let incarnation = match folder::read_format(&*files, &folder)? {
            Some(incarnation) => incarnation,
            None => {
                let drawn = options.incarnation.map_or_else(draw_incarnation, Ok)?;
                folder::write_format(&*files, &folder, drawn)?;
                drawn
            }
        };
        let understood = understand(
            &*files,
            &folder,
            incarnation,
            Purpose::Write,
            &mut |_, _| (),
        )?;
        let snapshots = SnapshotFiles::new(files.clone(), &folder);
        let damages = match options.on_damage {
            OnDamage::Refuse => {
                let damages = understood.damages.clone();
                if damages.is_empty() {
                    snapshots.check(understood.state.snapshot_id())?;
                }
                damages
            }
            OnDamage::Mend => find_damages(&understood, &snapshots)?,
        };
        let plan = match options.on_damage {
            OnDamage::Mend if !damages.is_empty() => {
                let is_whole = |id| Ok(snapshots.verify(id)?.is_none());
                understood.plan(incarnation, is_whole)?
            }
            OnDamage::Mend | OnDamage::Refuse => None,
        };
        let kept = mend_or_refuse(&understood, &snapshots, &damages, options.on_damage)?;
        let entries = match &kept {
            Some(kept) => kept.entries.clone(),
            None => {
                let entries = understood.pieces.entries(understood.state.floor);
                entries.map_err(|error| folder::damaged(&folder, error.to_string()))?
            }
        };
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

    /// Where each write goes, and what it does to the index.
    fn index(&mut self, writes: &[Write], segment: u64, begin: u64) -> Result<(), StorageError> {
        let mut begin = begin;
        for (at, write) in writes.iter().enumerate() {
            let length = self.log.lengths().get(at).copied().unwrap_or_default();
            let appended = Appended::of(write);
            let extra = WriteExtra::of(write);
            let hard_state = write.hard_state.unwrap_or(self.state.hard_state);
            let (effect, continues) = self.state.apply(hard_state, &extra, appended);
            continues.map_err(|gap| {
                let what = format!("entry {} after {}", gap.found, gap.expected.previous());
                StorageError::Contract(what)
            })?;
            self.spans.apply(effect);
            self.log.describer.apply(effect);
            self.log.describer.append(&write.entries);
            if let Some(appended) = appended {
                self.spans.append(appended, segment, begin, begin + length);
            }
            begin += length;
        }
        Ok(())
    }

    fn write_all(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        for install in writes.iter().filter_map(|write| write.install.as_ref()) {
            self.snapshots.install(install.snapshot.id)?;
        }
        let before = self.state.hard_state;
        let due = self.log.describer.due();
        let (segment, begin) = self.log.stage(&self.state, |batch, chain| {
            let (mut hard_state, mut described) = (before, due.clone());
            for write in writes {
                hard_state = write.hard_state.unwrap_or(hard_state);
                if let Some(identity) = &write.identity {
                    chain.group = identity.group_id;
                }
                let described = std::mem::take(&mut described);
                batch.push_write(chain, hard_state, write, described)?;
            }
            Ok(())
        })?;
        if !due.is_empty() {
            self.log.describer.close();
        }
        self.index(writes, segment, begin)?;
        self.log.commit(&self.state)?;
        let drops = |write: &Write| write.install.is_some() || write.compact.is_some();
        if writes.iter().any(drops) {
            self.log.drop_before(self.spans.first_segment())?;
        }
        Ok(())
    }
}

/// What is damaged, the newest snapshot included.
fn find_damages(
    understood: &Understood,
    snapshots: &SnapshotFiles,
) -> Result<Vec<Damage>, StorageError> {
    let mut damages = understood.damages.clone();
    if let Some(id) = understood.state.snapshot_id() {
        damages.extend(snapshots.verify(id)?);
    }
    Ok(damages)
}

/// What the log begins anew with, if anything is damaged and that is what is wanted.
fn mend_or_refuse(
    understood: &Understood,
    snapshots: &SnapshotFiles,
    damages: &[Damage],
    on_damage: OnDamage,
) -> Result<Option<Kept>, StorageError> {
    let Some(first) = damages.first() else {
        return Ok(None);
    };
    let is_whole = |id| Ok(snapshots.verify(id)?.is_none());
    let kept = match on_damage {
        OnDamage::Refuse => None,
        OnDamage::Mend => understood.keep(is_whole)?,
    };
    let Some(kept) = kept else {
        return Err(first.clone().into_error(&understood.acknowledged));
    };
    for damage in damages {
        tracing::error!(%damage, "the log is damaged");
    }
    Ok(Some(kept))
}

/// No two folders have the same.
fn draw_incarnation() -> Result<u128, StorageError> {
    let mut drawn = [0; 16];
    let failed = |error: getrandom::Error| StorageError::io("draw a number", error.into());
    getrandom::fill(&mut drawn).map_err(failed)?;
    Ok(u128::from_le_bytes(drawn))
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
        } = found.ok_or_else(again)?;
        self.is_failed = true;
        let whole = plan.filter(Plan::is_complete).and_then(Plan::complete);
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

    fn incomplete(&self) -> Option<Incomplete> {
        let plan = self.found.as_ref()?.plan.as_ref()?;
        plan.incomplete()
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
