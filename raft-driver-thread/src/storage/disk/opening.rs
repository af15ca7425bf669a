//! Opening a folder: whose it is, and what becomes of it if it is damaged.

use super::damage::Damage;
use super::files::{Files, Purpose};
use super::folder::{self, Lock};
use super::mend::Kept;
use super::options::{DiskOptions, OnDamage};
use super::plan::Plan;
use super::rescue::Rescue;
use super::snapshots::SnapshotFiles;
use super::understood::Understood;
use crate::storage::{StorageError, last_membership};
use raft_proto::{Entries, Membership};
use std::path::Path;

/// Makes the folder, if it is not there, and locks it. Returns its incarnation.
pub(super) fn lock(
    files: &dyn Files,
    folder: &Path,
    options: DiskOptions,
) -> Result<(Lock, u128), StorageError> {
    if folder::read_format(files, folder)?.is_none() {
        folder::prepare(files, folder)?;
    }
    let lock = folder::lock(files, folder, Purpose::Create)?;
    if let Some(incarnation) = folder::read_format(files, folder)? {
        return Ok((lock, incarnation));
    }
    let drawn = options.incarnation.map_or_else(draw_incarnation, Ok)?;
    folder::write_format(files, folder, drawn)?;
    Ok((lock, drawn))
}

/// What is damaged, the newest snapshot included.
pub(super) fn find_damages(
    understood: &Understood,
    snapshots: &SnapshotFiles,
    on_damage: OnDamage,
) -> Result<Vec<Damage>, StorageError> {
    let mut damages = understood.damages.clone();
    if on_damage == OnDamage::Refuse {
        if damages.is_empty() {
            snapshots.check(understood.state.snapshot_id())?;
        }
        return Ok(damages);
    }
    if let Some(id) = understood.state.snapshot_id() {
        damages.extend(snapshots.verify(id)?);
    }
    Ok(damages)
}

/// What becomes of a damaged log.
pub(super) struct Mendable {
    /// What it begins anew with.
    pub(super) kept: Option<Kept>,
    /// How it becomes what it was instead, if it can.
    pub(super) plan: Option<Plan>,
    /// What a snapshot of a peer would be put together with, if anything is lost.
    pub(super) rescue: Option<Rescue>,
}

/// Nothing, unless anything is damaged, and mending is what is wanted.
pub(super) fn mend_or_refuse(
    understood: &Understood,
    snapshots: &SnapshotFiles,
    damages: &[Damage],
    on_damage: OnDamage,
    incarnation: u128,
) -> Result<Mendable, StorageError> {
    let Some(first) = damages.first() else {
        // It may have lost something earlier, and wait for its leader.
        let is_impaired = understood.state.lost.is_some() && on_damage == OnDamage::Mend;
        let rescue = is_impaired.then(|| understood.rescue(membership(understood)));
        return Ok(Mendable {
            kept: None,
            plan: None,
            rescue: rescue.flatten(),
        });
    };
    let is_whole = |id| Ok(snapshots.verify(id)?.is_none());
    let (kept, plan) = match on_damage {
        OnDamage::Refuse => (None, None),
        OnDamage::Mend => {
            let kept = understood.keep(is_whole)?;
            (kept, understood.plan(incarnation, is_whole)?)
        }
    };
    if kept.is_none() {
        return Err(first.clone().into_error(&understood.acknowledged));
    }
    for damage in damages {
        tracing::error!(%damage, "the log is damaged");
    }
    let is_lost = |kept: &Kept| kept.state.lost.is_some();
    let rescue = kept.as_ref().filter(|kept| is_lost(kept));
    let rescue = rescue.and_then(|_| understood.rescue(membership(understood)));
    Ok(Mendable { kept, plan, rescue })
}

/// The entries that the folder's log begins with: what was kept of a damaged one, or all of a whole
/// one.
pub(super) fn recovered_entries(
    understood: &Understood,
    kept: Option<&Kept>,
    folder: &Path,
) -> Result<Entries, StorageError> {
    if let Some(kept) = kept {
        return Ok(kept.entries.clone());
    }
    let entries = understood.pieces.entries(understood.state.floor);
    entries.map_err(|error| folder::damaged(folder, error.to_string()))
}

/// The last configuration that is known.
fn membership(understood: &Understood) -> Membership {
    let whole = understood.whole_runs().unwrap_or_default();
    let snapshot = understood.state.snapshot.as_ref();
    last_membership(&whole, snapshot, understood.state.identity.as_ref())
}

/// No two folders have the same.
fn draw_incarnation() -> Result<u128, StorageError> {
    let mut drawn = [0; 16];
    let failed = |error: getrandom::Error| StorageError::io("draw a number", error.into());
    getrandom::fill(&mut drawn).map_err(failed)?;
    Ok(u128::from_le_bytes(drawn))
}
