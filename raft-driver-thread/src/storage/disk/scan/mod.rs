//! Understands a folder's log, and changes nothing.
//!
//! # Torn or damaged
//!
//! Where the next record should begin and no whole one does, the log either ends, perhaps in a
//! write that a power failure tore, or has lost what was acknowledged. It ends there if nothing
//! says that the next record was synced. These say so:
//!
//! * the [mark](super::mark), if its number is as high;
//! * any whole record further on that says that the log was synced as far before it was written;
//! * another segment after this one: a segment is begun when all records before it are synced;
//! * that the record is a segment's first one, which is synced before the segment has its name.

mod ending;

use crate::storage::StorageError;
use crate::storage::disk::damage::Damage;
use crate::storage::disk::files::{Files, Purpose};
use crate::storage::disk::folder::{failed, log_folder};
use crate::storage::disk::lost::{Evidence, LostRecords};
use crate::storage::disk::mark::{Found, Mark, MarkContent};
use crate::storage::disk::pieces::Pieces;
use crate::storage::disk::reader::Reader;
use crate::storage::disk::record::{ALIGNMENT, Kind, Place, Record, RecordHeader, StateExtra};
use crate::storage::disk::segment::{SEGMENT_HEADER, SegmentFile, find_segments};
use crate::storage::disk::state::{Spans, State};
use crate::storage::disk::understood::{Tail, Understood, WholeParts};
use raft_proto::Index;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// What is read at a time.
const WINDOW: u64 = 1 << 20;

/// How much of how much is read.
pub(super) type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Reads all of the log. `purpose` is that of the newest segment and the mark.
pub(super) fn understand(
    files: &dyn Files,
    folder: &Path,
    incarnation: u128,
    purpose: Purpose,
    progress: Progress<'_>,
) -> Result<Understood, StorageError> {
    let log = log_folder(folder);
    let mut scan = Scan::new(log.clone(), incarnation);
    let mark = match Mark::find(files, folder, incarnation, purpose)? {
        Found::None => None,
        Found::Mark(mark, content) => {
            scan.mark = *content;
            Some(mark)
        }
        Found::Damaged => {
            let what = "it is not what was written to it";
            scan.unclear(Damage::of(&folder.join("mark"), what));
            None
        }
    };
    let (segments, leftovers) = find_segments(files, &log, incarnation, purpose)?;
    if mark.is_none() && !segments.is_empty() && scan.damages.is_empty() {
        let what = "the acknowledged mark is missing";
        scan.unclear(Damage::of(&folder.join("mark"), what));
    }
    let lengths = segments.iter().map(|segment| segment.file.length());
    let lengths: Result<Vec<u64>, _> = lengths.collect();
    let lengths = lengths.map_err(failed("read", &log))?;
    let total: u64 = lengths.iter().sum();
    let mut done = 0;
    for (at, segment) in segments.iter().enumerate() {
        let scanned = scan.segment(segment, segments.get(at + 1));
        scanned.map_err(failed("read", &segment.path))?;
        done += lengths[at]; // As many as segments.
        progress(done, total);
    }
    scan.finish(segments.is_empty());
    let acknowledged = scan.acknowledged();
    // One number is left out: then what is older is not taken for a part of the log.
    scan.whole.next_segment = segments.back().map_or(1, |newest| newest.number + 2);
    scan.whole.next_seq = scan.tail.seq.max(scan.mark.seq + 1);
    Ok(Understood {
        state: scan.state,
        spans: scan.spans,
        pieces: scan.pieces,
        segments,
        leftovers,
        mark,
        tail: scan.tail,
        damages: scan.damages,
        acknowledged,
        whole: scan.whole,
    })
}

/// Goes through the records in order.
pub(super) struct Scan {
    log: PathBuf,
    incarnation: u128,
    mark: MarkContent,
    state: State,
    spans: Spans,
    pieces: Pieces,
    /// The entries and their places are wanted.
    pub(super) keeps_entries: bool,
    tail: Tail,
    /// A record was read.
    is_begun: bool,
    /// The checksum of the record before is known.
    is_chained: bool,
    /// The records that are not known to be synced: their numbers, and where they begin.
    unsynced: VecDeque<(u64, u64)>,
    pub(super) damages: Vec<Damage>,
    whole: WholeParts,
    /// The last entry that a damaged record is known to have held.
    lost: Index,
    /// Whether the records that are lost only appended.
    lost_parts: LostRecords,
    /// The mark's descriptions are among the others.
    is_mark_added: bool,
    /// Each record that follows says that at least those up to this one were synced before it.
    synced_before: u64,
}

impl Scan {
    pub(super) fn new(log: PathBuf, incarnation: u128) -> Scan {
        Scan {
            log,
            incarnation,
            mark: MarkContent::default(),
            state: State::default(),
            spans: Spans::default(),
            pieces: Pieces::default(),
            keeps_entries: true,
            tail: Tail::default(),
            is_begun: false,
            is_chained: false,
            unsynced: VecDeque::new(),
            damages: Vec::new(),
            whole: WholeParts::default(),
            lost: Index::ZERO,
            lost_parts: LostRecords::default(),
            is_mark_added: false,
            synced_before: 0,
        }
    }

    fn note(&mut self, damage: Damage) {
        if self.damages.is_empty() {
            self.whole.before = Some((self.state.clone(), self.pieces.clone()));
        }
        self.whole.from = None;
        let last = damage.entries.map_or(Index::ZERO, |(_, last)| last);
        self.lost = self.lost.max(last);
        self.damages.push(damage);
    }

    /// Notes damage that leaves open what was acknowledged.
    fn unclear(&mut self, damage: Damage) {
        self.whole.is_unclear = true;
        self.note(damage);
    }

    /// Reads a segment. `newer` is the one after it, if it is not the newest.
    pub(super) fn segment(
        &mut self,
        segment: &SegmentFile,
        newer: Option<&SegmentFile>,
    ) -> std::io::Result<()> {
        let place = Place::in_segment(self.incarnation, segment.number);
        let mut reader = Reader::new(&*segment.file, place, WINDOW)?;
        self.header(segment);
        self.tail.offset = SEGMENT_HEADER as u64;
        self.unsynced.clear();
        // Where this segment ends; `None` if nobody knows, or if it is the newest.
        let end_seq = newer
            .and_then(|newer| newer.header)
            .map(|header| header.first_seq);
        let mut evidence = None;
        while newer.is_none() || end_seq != Some(self.tail.seq) {
            let offset = self.tail.offset;
            if let Some(record) = reader.record(offset)?.filter(|it| self.follows(&it.header)) {
                self.take(segment, &record);
                continue;
            }
            if newer.is_some() && end_seq.is_none() {
                return Ok(()); // The newer one's header is damaged.
            }
            let evidence = match &mut evidence {
                Some(known) => known,
                none => none.insert(self.evidence(segment, newer, &mut reader)?),
            };
            if self.tail.seq > evidence.acknowledged {
                self.tail.is_torn = evidence.is_torn && self.damages.is_empty();
                break;
            }
            self.skip(segment, evidence, &mut reader)?;
        }
        Ok(())
    }

    /// Checks the segment's header, and that the segment continues the one before.
    pub(super) fn header(&mut self, segment: &SegmentFile) {
        let Some(header) = segment.header else {
            let what = "the segment's header is not what was written";
            let mut damage = Damage::of(&segment.path, what);
            damage.bytes = Some((0, SEGMENT_HEADER as u64));
            self.note(damage);
            self.is_chained = false;
            return;
        };
        let is_first = self.tail.seq == 0;
        if is_first {
            // An older mark, of before the log was mended, describes a log that is no more.
            self.is_mark_added = self.mark.seq < header.first_seq;
        }
        let continues = header.first_seq == self.tail.seq
            && (!self.is_chained || header.previous == self.tail.previous);
        if is_first && let Some(state) = &segment.state {
            self.state = state.clone();
            self.lost_parts.begin_with(header.changes);
        }
        if !is_first && !continues {
            self.lost_parts.are_unknown(0);
        }
        if !is_first && !continues && self.damages.is_empty() {
            let what = "the segment does not continue the one before it";
            self.note(Damage::of(&segment.path, what));
        }
        self.tail.seq = header.first_seq;
        self.tail.previous = header.previous;
        self.is_chained = true;
    }

    fn follows(&self, header: &RecordHeader) -> bool {
        let is_next = header.seq == self.tail.seq || self.tail.seq == 0;
        is_next && (!self.is_chained || header.previous == self.tail.previous)
    }

    /// What says that the records from here on were acknowledged, or not.
    fn evidence(
        &self,
        segment: &SegmentFile,
        newer: Option<&SegmentFile>,
        reader: &mut Reader<'_>,
    ) -> std::io::Result<Evidence> {
        if let Some(newer) = newer.and_then(|newer| newer.header) {
            return Ok(Evidence {
                acknowledged: newer.first_seq.saturating_sub(1),
                last: newer.next_index.previous(),
                is_torn: false,
            });
        }
        let first = segment.header.map_or(0, |header| header.first_seq);
        let mut evidence = Evidence {
            acknowledged: self.mark.seq.max(first).max(self.tail.synced),
            last: self.mark.acknowledged.last.index,
            is_torn: false,
        };
        let mut offset = self.tail.offset;
        while let Some((at, header)) = reader.find(offset)? {
            evidence.is_torn = true;
            evidence.acknowledged = evidence.acknowledged.max(header.synced);
            offset = at + ALIGNMENT;
        }
        Ok(evidence)
    }

    fn take(&mut self, segment: &SegmentFile, record: &Record) {
        let header = record.header;
        let begin = self.tail.offset;
        // As with a header that says where the log begins.
        self.is_mark_added |= self.tail.seq == 0 && self.mark.seq < header.seq;
        if header.seq > self.mark.seq {
            self.add_mark();
        }
        self.lost_parts.goes_on_with(&header);
        self.note_synced(&header);
        if header.seq == self.mark.seq && record.header.checksum != self.mark.checksum {
            let what = format!("record {} is not the one that the mark names", header.seq);
            self.record_damage(segment, header.length(), what);
        }
        let taken = match header.kind {
            Kind::State => {
                let extra = record.state_extra();
                extra.is_some_and(|extra| self.take_state(record, extra))
            }
            Kind::Write => self.take_write(segment, record).is_some(),
        };
        if !taken {
            let what = format!("record {} contradicts those before it", header.seq);
            self.record_damage(segment, header.length(), what);
        }
        self.is_begun = true;
        self.tail.synced = self
            .tail
            .synced
            .max(header.synced)
            .max(self.mark.seq.min(header.seq));
        self.unsynced.push_back((header.seq, begin));
        while self
            .unsynced
            .front()
            .is_some_and(|(seq, _)| *seq <= self.tail.synced)
        {
            self.unsynced.pop_front();
        }
        self.tail.offset = begin + header.length();
        self.tail.seq = header.seq + 1;
        self.tail.previous = record.header.checksum;
        self.tail.changes = header.changes;
        self.is_chained = true;
        let unsynced = self.unsynced.front().map(|(_, begin)| *begin);
        self.tail.unsynced_from = unsynced.unwrap_or(self.tail.offset);
    }

    fn record_damage(&mut self, segment: &SegmentFile, length: u64, what: String) {
        let mut damage = Damage::of(&segment.path, what);
        damage.bytes = Some((self.tail.offset, length));
        self.unclear(damage);
    }

    /// Returns whether the state is the one that the records before amount to.
    fn take_state(&mut self, record: &Record, extra: StateExtra) -> bool {
        let stored = State::of_record(record.header.hard_state, extra);
        let mut expected = self.state.clone();
        // It is the first one of its segment, or of the next instance.
        let instance = stored.instance;
        if instance == expected.instance + 1 {
            expected.instance = instance;
        }
        let fits = stored == expected || !self.is_begun || !self.damages.is_empty();
        self.state = stored;
        fits
    }

    /// `None` if the record does not continue the log.
    fn take_write(&mut self, segment: &SegmentFile, record: &Record) -> Option<()> {
        let mut extra = record.write_extra()?;
        let appended = record.appended()?;
        let described = std::mem::take(&mut extra.described);
        self.whole.described.add(described);
        let (effect, continues) = self.state.apply(record.header.hard_state, &extra, appended);
        self.spans.apply(effect);
        self.pieces.apply(effect);
        if let Some(through) = effect.drop_through {
            self.whole.described.drop_through(through);
        }
        if let Some(appended) = appended {
            self.whole.described.replace_from(appended.first);
            if self.keeps_entries {
                let (begin, length) = (self.tail.offset, record.header.length());
                self.spans
                    .append(appended, segment.number, begin, begin + length);
                self.pieces.push(record.clone(), appended.last.index);
            }
            let from = self.whole.from.unwrap_or(appended.first);
            self.whole.from = Some(from.min(appended.first));
        }
        let is_ours = self.state.identity.as_ref();
        let is_ours = is_ours.is_none_or(|it| it.group_id == record.header.group);
        (is_ours && (continues.is_ok() || !self.damages.is_empty())).then_some(())
    }

    /// Notes the damage of the record that should be here, of those that were acknowledged,
    /// and goes on behind it.
    fn skip(
        &mut self,
        segment: &SegmentFile,
        evidence: &Evidence,
        reader: &mut Reader<'_>,
    ) -> std::io::Result<()> {
        let offset = self.tail.offset;
        let seq = self.tail.seq;
        let header = reader.header(offset)?.filter(|header| self.follows(header));
        if let Some(header) = header {
            let what = format!("the body of record {seq} is not what was written");
            self.note_synced(&header);
            let entries = header.last().map(|last| (header.first, last));
            self.skip_to(segment, offset + header.length(), entries, what);
            self.lost_parts.is_of(&header);
            self.promise(header.hard_state);
            self.tail.seq = seq + 1;
            self.tail.previous = header.checksum;
            self.tail.changes = header.changes;
            self.state.last.index = header.last().unwrap_or(self.state.last.index);
            return Ok(());
        }
        let mut from = offset + ALIGNMENT;
        let found = loop {
            match reader.find(from)? {
                // Records of writes that were dropped may lie about, with numbers that came again.
                Some((at, header)) if self.is_stale(&header) => from = at + ALIGNMENT,
                found => break found,
            }
        };
        let first = self.state.last.index.next();
        let (end, next_seq, until) = match found {
            Some((at, header)) => (
                at,
                header.seq,
                header.last().map(|_| header.first.previous()),
            ),
            None => (
                reader.length(),
                evidence.acknowledged + 1,
                Some(evidence.last),
            ),
        };
        let entries = until
            .filter(|until| first <= *until)
            .map(|until| (first, until));
        let until = next_seq.saturating_sub(1);
        self.lost_parts.are_unknown(end.saturating_sub(offset));
        let what = format!("records {seq} to {until} are not what was written");
        self.skip_to(segment, end, entries, what);
        if let Some((_, header)) = found {
            // What is lost may have promised as much.
            self.promise(header.hard_state);
        }
        self.tail.seq = next_seq;
        self.is_chained = false;
        Ok(())
    }

    fn skip_to(
        &mut self,
        segment: &SegmentFile,
        end: u64,
        entries: Option<(Index, Index)>,
        what: String,
    ) {
        let mut damage = Damage::of(&segment.path, what);
        damage.bytes = Some((self.tail.offset, end.saturating_sub(self.tail.offset)));
        damage.entries = entries;
        self.note(damage);
        self.tail.offset = end;
    }
}
