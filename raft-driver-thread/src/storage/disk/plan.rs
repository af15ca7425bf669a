//! What a damaged log lacks in its midst, and whether entries are what was there.
//!
//! A log is mended exactly if, as its records tell, those that are lost did no more than to append
//! entries and to set the term and the vote, and if all entries that it lacks are
//! [described](super::digest). Then nothing but these entries is lost: with them the log is what it
//! was. Otherwise the node starts with what is whole (the module `mend`).

use super::description::{Description, Descriptions};
use super::digest::Digester;
use super::mend::Kept;
use super::state::State;
use super::understood::Understood;
use crate::storage::{Incomplete, StorageError};
use raft_proto::mending::Missing;
use raft_proto::{Entries, EntriesBuilder, Entry, Index, SnapshotId};
use std::collections::BTreeMap;

/// Entries that are described together, and some of which are missing.
struct Stretch {
    description: Description,
    /// The first and the last of each part that is missing, and the entries once they are there.
    missing: Vec<(Index, Index)>,
    supplied: Option<Vec<Entries>>,
}

/// How a log becomes what it was.
pub(super) struct Plan {
    state: State,
    digester: Digester,
    /// Without gaps in themselves, and in order.
    whole: Vec<Entries>,
    stretches: Vec<Stretch>,
    segment: u64,
    seq: u64,
}

impl Understood {
    /// How the log becomes exactly what it was. `None` if it cannot.
    pub(super) fn plan(
        &self,
        incarnation: u128,
        is_whole: impl Fn(SnapshotId) -> Result<bool, StorageError>,
    ) -> Result<Option<Plan>, StorageError> {
        let Some(last) = self.whole.exact_last.filter(|_| !self.whole.is_unclear) else {
            return Ok(None);
        };
        let is_all = self.state.lost.is_some() || last >= self.acknowledged.last.index;
        if !is_all || self.state.identity.is_none() {
            return Ok(None);
        }
        let mut state = self.state.clone();
        state.hard_state = self.acknowledged.hard_state;
        if let Some(snapshot) = &state.snapshot
            && !is_whole(snapshot.id)?
        {
            if state.floor > Index::ZERO {
                return Ok(None);
            }
            state.snapshot = None;
        }
        let Some(whole) = self.whole_runs() else {
            return Ok(None);
        };
        let descriptions = &self.whole.described;
        let digester = Digester::of_folder(incarnation);
        let missing = gaps(&whole, state.floor, last);
        let Some(stretches) = stretches(&missing, descriptions) else {
            return Ok(None);
        };
        let plan = Plan {
            state,
            digester,
            whole,
            stretches,
            segment: self.whole.next_segment,
            seq: self.whole.next_seq,
        };
        Ok(plan.fits(descriptions).then_some(plan))
    }

    /// The entries that are there, in runs without gaps. `None` if they contradict each other.
    pub(super) fn whole_runs(&self) -> Option<Vec<Entries>> {
        let mut runs = Vec::new();
        let mut run = EntriesBuilder::new();
        let mut last = None;
        for entries in self.pieces.by_record(self.state.floor) {
            for entry in &entries.ok()? {
                let (id, kind) = (entry.id(), entry.kind());
                if last.is_some_and(|last: Index| id.index > last.next()) {
                    runs.push(std::mem::take(&mut run).finish());
                }
                run.push(id, kind, entry.share_payload()).ok()?;
                last = Some(id.index);
            }
        }
        runs.push(run.finish());
        runs.retain(|run| !run.is_empty());
        Some(runs)
    }
}

/// The entries after `floor` and up to `last` that are in none of these.
fn gaps(whole: &[Entries], floor: Index, last: Index) -> Vec<(Index, Index)> {
    let mut gaps = Vec::new();
    let mut next = floor.next();
    for run in whole {
        let (Some(first), Some(end)) = (run.first_index(), run.last_id()) else {
            continue;
        };
        if first > next {
            gaps.push((next, first.previous()));
        }
        next = end.index.next();
    }
    if next <= last {
        gaps.push((next, last));
    }
    gaps
}

/// The stretches in which entries are missing. `None` if some of these are not described.
fn stretches(missing: &[(Index, Index)], descriptions: &Descriptions) -> Option<Vec<Stretch>> {
    let mut found: BTreeMap<Index, Stretch> = BTreeMap::new();
    for (first, last) in missing {
        let mut next = *first;
        while next <= *last {
            let description = descriptions.of(next)?;
            let end = description.last.min(*last);
            let stretch = found.entry(description.first).or_insert_with(|| Stretch {
                description,
                missing: Vec::new(),
                supplied: None,
            });
            stretch.missing.push((next, end));
            next = end.next();
        }
    }
    Some(found.into_values().collect())
}

fn within<'a>(
    runs: impl IntoIterator<Item = &'a Entries>,
    description: &Description,
) -> impl Iterator<Item = Entry<'a>> {
    let (first, last) = (description.first, description.last);
    let reaches = move |run: &&Entries| {
        let end = run.last_id();
        run.first_index().is_some_and(|begin| begin <= last)
            && end.is_some_and(|end| end.index >= first)
    };
    let entries = runs.into_iter().filter(reaches).flat_map(Entries::iter);
    entries.filter(move |it| (first..=last).contains(&it.index()))
}

impl Plan {
    /// Whether what is there is what was described.
    fn fits(&self, descriptions: &Descriptions) -> bool {
        descriptions.iter().all(|description| {
            let is_complete =
                |gap: &(Index, Index)| gap.1 < description.first || description.last < gap.0;
            let mut missing = self.stretches.iter().flat_map(|it| &it.missing);
            let is_known = description.first > self.state.floor && missing.all(is_complete);
            !is_known
                || self.digester.entries(within(&self.whole, description)) == description.digest
        })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.stretches.iter().all(|it| it.supplied.is_some())
    }

    /// What is there and what is missing; `None` if nothing is missing.
    pub(super) fn incomplete(&self) -> Option<Incomplete> {
        let missing = self.stretches.iter().map(|stretch| Missing {
            parts: stretch.missing.clone(),
        });
        let identity = self.state.identity.clone()?;
        (!self.stretches.is_empty()).then(|| Incomplete {
            identity,
            snapshot: self.state.snapshot.clone(),
            whole: self.whole.clone(),
            missing: missing.collect(),
            snapshot_at_least: None,
        })
    }

    /// Takes the parts that one of the stretches lacks, if they are what was there.
    pub(super) fn supply(&mut self, at: usize, parts: &[Entries]) -> bool {
        let Some(stretch) = self.stretches.get_mut(at) else {
            return false;
        };
        let runs = self.whole.iter().chain(parts);
        let found = self.digester.entries(within(runs, &stretch.description));
        let count = within(self.whole.iter().chain(parts), &stretch.description).count() as u64;
        let Description {
            first,
            last,
            digest,
        } = stretch.description;
        if found != digest || count != last.0 - first.0 + 1 {
            return false;
        }
        stretch.supplied = Some(parts.to_vec());
        true
    }

    /// The whole log, if nothing is missing any more.
    pub(super) fn complete(self) -> Option<Kept> {
        let supplied = self.stretches.into_iter().map(|it| it.supplied);
        let supplied: Option<Vec<Vec<Entries>>> = supplied.collect();
        let mut runs: Vec<Entries> = supplied?.into_iter().flatten().collect();
        runs.extend(self.whole);
        runs.sort_by_key(Entries::first_index);
        let mut entries = EntriesBuilder::new();
        for entry in runs.iter().flat_map(Entries::iter) {
            let pushed = entries.push(entry.id(), entry.kind(), entry.share_payload());
            pushed.ok()?;
        }
        Some(Kept::whole(
            self.state,
            entries.finish(),
            self.segment,
            self.seq,
        ))
    }
}
