//! Fetches a snapshot from a peer, piece by piece, and whose work it is.

use crate::storage::Snapshots;
use raft_proto::mending::{FetchReply, MAX_FETCH_BYTES, Request};
use raft_proto::{Index, NodeId, SnapshotId, SnapshotMeta};
use std::io::Write;

/// What became of an attempt.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// It is stored. No write of the storage names it yet.
    Snapshot(Box<SnapshotMeta>),
    /// The peer has none now, or was not reached: it may be asked again.
    Later,
    /// The peer has none to give.
    HasNone,
    /// It could not be stored, or what came is not what was named.
    Failed(String),
}

/// Fetches the snapshot that the peer has of its state after `at_least`, or after a later entry.
/// Its bytes are what its id says: the checksum is compared when all of them are there. `ask` asks
/// the peer.
pub(crate) fn fetch_snapshot(
    ask: &dyn Fn(&Request) -> FetchReply,
    at_least: Index,
    snapshots: &dyn Snapshots,
) -> Fetched {
    let meta = match ask(&Request::Snapshot { at_least }) {
        FetchReply::Snapshot(meta) if meta.id.last.index >= at_least => meta,
        FetchReply::Unreachable => return Fetched::Later,
        FetchReply::Snapshot(_)
        | FetchReply::HaveNot
        | FetchReply::Entries(_)
        | FetchReply::Digests(_)
        | FetchReply::Noted(_)
        | FetchReply::Chunk(_) => return Fetched::HasNone,
    };
    let id = meta.id;
    let origin = origin_of(id, ask);
    let mut sink = match snapshots.create() {
        Ok(sink) => sink,
        Err(error) => return Fetched::Failed(error.to_string()),
    };
    let mut offset = 0;
    while offset < id.size {
        let length = (id.size - offset).min(MAX_FETCH_BYTES);
        let request = Request::Chunk {
            snapshot: id,
            offset,
            length,
        };
        match ask(&request) {
            FetchReply::Chunk(data) if !data.is_empty() && data.len() as u64 <= length => {
                if let Err(error) = sink.write_all(&data) {
                    return Fetched::Failed(error.to_string());
                }
                offset += data.len() as u64;
            }
            // The peer has another one by now, or was not reached.
            FetchReply::Chunk(_)
            | FetchReply::HaveNot
            | FetchReply::Unreachable
            | FetchReply::Snapshot(_)
            | FetchReply::Entries(_)
            | FetchReply::Digests(_)
            | FetchReply::Noted(_) => return Fetched::Later,
        }
    }
    match sink.finish(id.last) {
        Ok(found) if found == id => {
            note_origin(id, origin, snapshots);
            Fetched::Snapshot(Box::new(meta))
        }
        Ok(found) => {
            snapshots.release(found);
            Fetched::Failed(format!("it should be {id:?}, and is {found:?}"))
        }
        Err(error) => Fetched::Failed(error.to_string()),
    }
}

/// Whose work the peer's snapshot is, if it knows.
fn origin_of(snapshot: SnapshotId, ask: &dyn Fn(&Request) -> FetchReply) -> Option<NodeId> {
    let FetchReply::Noted(noted) = ask(&Request::Noted) else {
        return None; // It is of an earlier release, or compares nothing.
    };
    let mut known = noted.snapshots.iter();
    let found = known.find(|it| it.snapshot == snapshot);
    found.map(|it| it.origin)
}

/// Stores whose work a stored snapshot is, if that is known. If it cannot be stored, it is unknown
/// after the next start.
pub(crate) fn note_origin(snapshot: SnapshotId, origin: Option<NodeId>, snapshots: &dyn Snapshots) {
    let noted = origin.map(|origin| snapshots.set_origin(snapshot, origin));
    if let Some(Err(error)) = noted {
        let last = snapshot.last;
        tracing::warn!(%last, %error, "whose work a snapshot is could not be stored");
    }
}
