//! Anything as what a storage has recovered. A node starts with it or refuses it by name, and one
//! that starts does so again with what it writes.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use raft_proto::*;

/// Starts a node with what the bytes say.
pub fn run(data: &[u8]) {
    let _ = start(&mut Unstructured::new(data));
}

fn id(u: &mut Unstructured<'_>) -> Result<EntryId> {
    let index = match u.int_in_range(0..=9_u8)? {
        9 => u.arbitrary()?,
        small => small.into(),
    };
    let term = match u.int_in_range(0..=5_u8)? {
        5 => u.arbitrary()?,
        small => small.into(),
    };
    Ok(EntryId::new(index, term))
}

fn membership(u: &mut Unstructured<'_>) -> Result<Membership> {
    let count = u.int_in_range(0..=3_u64)?;
    Ok(Membership::new((1..=count).map(NodeId)))
}

fn entries(u: &mut Unstructured<'_>) -> Result<Entries> {
    let mut entries = EntriesBuilder::new();
    let mut next = id(u)?;
    for _ in 0..u.int_in_range(0..=6_u8)? {
        let kind = match u.int_in_range(0..=2_u8)? {
            0 => EntryKind::Noop,
            1 => EntryKind::Command,
            _ => EntryKind::Membership,
        };
        let payload = if kind == EntryKind::Membership && u.ratio(3, 4)? {
            membership(u)?.encode()
        } else {
            let length = u.int_in_range(0..=4)?;
            Bytes::copy_from_slice(u.bytes(length)?)
        };
        if entries.push(next, kind, payload).is_err() {
            break;
        }
        let Some(index) = next.index.0.checked_add(1) else {
            break;
        };
        next.index = Index(index);
        if u.ratio(1, 4)? {
            next.term = Term(next.term.0.saturating_add(1));
        }
    }
    Ok(entries.finish())
}

fn recovered(u: &mut Unstructured<'_>) -> Result<Recovered> {
    let identity = Identity {
        cluster_id: ClusterId(u.int_in_range(6..=7)?),
        group_id: GroupId(u.int_in_range(0..=1)?),
        node_id: NodeId(u.int_in_range(1..=2)?),
        bootstrap: membership(u)?,
        incarnation: None,
    };
    let snapshot = SnapshotMeta {
        id: SnapshotId {
            last: id(u)?,
            size: u.int_in_range(0..=9)?,
            checksum: 0,
        },
        membership: membership(u)?,
    };
    Ok(Recovered {
        identity: u.ratio(7, 8)?.then_some(identity),
        hard_state: HardState {
            term: id(u)?.term,
            voted_for: u.ratio(1, 2)?.then_some(NodeId(u.int_in_range(1..=3)?)),
        },
        snapshot: u.ratio(1, 2)?.then_some(snapshot),
        entries: entries(u)?,
        applied: if u.ratio(1, 4)? {
            Some(id(u)?.index)
        } else {
            None
        },
        impaired: if u.ratio(1, 4)? { Some(id(u)?) } else { None },
    })
}

fn start(u: &mut Unstructured<'_>) -> Result<()> {
    let mut stored = recovered(u)?;
    let voters = Start::voters([NodeId(1), NodeId(2)]);
    let config = Config::new(ClusterId(7), NodeId(1), voters, 0);
    let Ok(mut raft) = Raft::new(config.clone(), stored.clone()) else {
        return Ok(());
    };
    for seconds in 0..4 {
        let at = Time(seconds * 1_000_000_000);
        let mut inputs = vec![Input::Tick];
        while let Some(input) = inputs.pop() {
            for action in raft.step(Event { at, input }) {
                if let Action::Persist(write) = action {
                    stored.apply(&write);
                    inputs.push(Input::Persisted { seq: write.seq });
                }
            }
        }
    }
    let term = raft.term();
    match Raft::new(config, stored) {
        Ok(again) => assert_eq!(again.term(), term, "the term is durable"),
        Err(error) => panic!("what it has written is refused: {error}"),
    }
    Ok(())
}
