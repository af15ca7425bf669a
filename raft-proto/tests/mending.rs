//! Entries that a disk has lost in its midst are had again exactly if somebody has each of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_proto::mending::{
    Fetch, FetchReply, GaveUp, MAX_FETCH_BYTES, Mending, MendingStep, Missing, serve,
};
use raft_proto::{Entries, EntriesBuilder, EntryId, EntryKind, Index, NodeId, Time};

const DEADLINE: Time = Time(1000);

/// Entries with these indexes, in runs without gaps. Entry 1 is of term 1, and so on.
fn runs(term: u64, indexes: impl IntoIterator<Item = u64>) -> Vec<Entries> {
    let mut runs = Vec::new();
    let mut run = EntriesBuilder::new();
    for index in indexes {
        let id = EntryId::new(index, term);
        let payload = format!("{term} {index}");
        if run
            .push(id, EntryKind::Command, payload.clone().into())
            .is_err()
        {
            runs.push(std::mem::take(&mut run).finish());
            run.push(id, EntryKind::Command, payload.into()).unwrap();
        }
    }
    runs.push(run.finish());
    runs.retain(|run| !run.is_empty());
    runs
}

/// Fetches until it ends. A peer is `None` if it is never reached. Returns the outcome, what was
/// accepted and how many requests there were.
fn fetch_all(
    missing: &[Missing],
    peers: &[Option<Vec<Entries>>],
) -> (MendingStep, Vec<(u64, u64)>, u32) {
    let nodes = (1..=peers.len() as u64).map(NodeId).collect();
    let mut mending = Mending::new(missing.to_vec(), nodes, DEADLINE);
    let (mut now, mut asked, mut accepted) = (Time::ZERO, 0, Vec::new());
    loop {
        match mending.next_step(now) {
            MendingStep::Ask { peer, fetch } => {
                asked += 1;
                assert!(asked < 1000, "it asks for ever");
                let reply = match &peers[peer.0 as usize - 1] {
                    Some(whole) => serve(whole, &fetch),
                    None => FetchReply::Unreachable,
                };
                mending.replied(peer, &fetch, reply, &mut |at, parts| {
                    let wanted = &missing[at].parts;
                    for (part, (first, last)) in parts.iter().zip(wanted) {
                        assert_eq!(part.first_index(), Some(*first));
                        assert_eq!(part.last_id().map(|id| id.index), Some(*last));
                    }
                    assert_eq!(parts.len(), wanted.len());
                    let entries = parts.iter().flat_map(Entries::iter);
                    let found: Vec<_> = entries.map(|it| (it.term().0, it.index().0)).collect();
                    let is_right = found.iter().all(|(term, _)| *term == 1);
                    if is_right {
                        accepted.extend(found);
                    }
                    is_right
                });
            }
            MendingStep::Wait => {
                now = Time(now.0 + 100);
                mending.waited();
            }
            end @ (MendingStep::Mended | MendingStep::GaveUp(_)) => return (end, accepted, asked),
        }
    }
}

fn missing(parts: &[(u64, u64)]) -> Missing {
    let parts = parts
        .iter()
        .map(|(first, last)| (Index(*first), Index(*last)));
    Missing {
        parts: parts.collect(),
    }
}

/// What a peer has of the entries 1 to 4, by the bits of `mask`; from 16 on it is not reached.
fn peer(mask: u64) -> Option<Vec<Entries>> {
    (mask < 16).then(|| runs(1, (1..=4).filter(|index| mask >> (index - 1) & 1 == 1)))
}

#[test]
fn what_is_missing_is_mended_exactly_if_for_each_entry_somebody_has_it() {
    let missing = [missing(&[(1, 1)]), missing(&[(2, 2), (4, 4)])];
    for first in 0..=16 {
        for second in 0..=16 {
            for third in 0..=16 {
                let masks = [first, second, third];
                let held = masks.iter().filter(|mask| **mask < 16);
                let held = held.fold(0, |all, mask| all | mask);
                let (end, accepted, _) = fetch_all(&missing, &masks.map(peer));
                let is_whole = held & 0b1011 == 0b1011;
                assert_eq!(end == MendingStep::Mended, is_whole, "{masks:?}: {end:?}");
                if is_whole {
                    assert_eq!(accepted, [(1, 1), (1, 2), (1, 4)], "{masks:?}");
                } else if masks.iter().all(|mask| *mask < 16) {
                    let nobody = matches!(end, MendingStep::GaveUp(GaveUp::NobodyHas(_)));
                    assert!(nobody, "{masks:?}: {end:?}");
                } else {
                    assert_eq!(end, MendingStep::GaveUp(GaveUp::Time), "{masks:?}");
                }
            }
        }
    }
}

#[test]
fn entries_that_are_not_those_that_were_lost_are_fetched_from_another_peer() {
    let other = || Some(runs(2, 1..=9));
    let right = || Some(runs(1, 1..=9));
    let missing = [missing(&[(2, 3), (5, 6)])];
    for peers in [
        vec![other(), right()],
        vec![other(), other(), right()],
        // It has the beginning of what another node led to.
        vec![Some(runs(2, 1..=2)), right()],
        vec![Some(runs(2, 1..=3)), Some(runs(2, 1..=2)), right()],
    ] {
        let (end, accepted, _) = fetch_all(&missing, &peers);
        assert_eq!(end, MendingStep::Mended, "{peers:?}");
        assert_eq!(accepted, [(1, 2), (1, 3), (1, 5), (1, 6)]);
    }
    let (end, ..) = fetch_all(&missing, &[other(), other()]);
    assert_eq!(end, MendingStep::GaveUp(GaveUp::Other(Index(2))));
}

#[test]
fn a_peer_that_is_reached_late_may_have_what_the_others_have_not() {
    let missing = [missing(&[(2, 3), (5, 6)])];
    let other = runs(2, 1..=9);
    let right = runs(1, 1..=9);
    for late in 1..=3 {
        let mut mending = Mending::new(missing.to_vec(), (1..=3).map(NodeId).collect(), DEADLINE);
        let mut now = Time::ZERO;
        let end = loop {
            match mending.next_step(now) {
                MendingStep::Ask { peer, fetch } => {
                    let reply = match (peer.0 == late, now >= Time(500)) {
                        (true, false) => FetchReply::Unreachable,
                        (true, true) => serve(&right, &fetch),
                        (false, _) => serve(&other, &fetch),
                    };
                    let is_right =
                        |parts: &[Entries]| parts.iter().flatten().all(|entry| entry.term().0 == 1);
                    mending.replied(peer, &fetch, reply, &mut |_, parts| is_right(parts));
                }
                MendingStep::Wait => {
                    now = Time(now.0 + 100);
                    mending.waited();
                }
                end @ (MendingStep::Mended | MendingStep::GaveUp(_)) => break end,
            }
        };
        assert_eq!(end, MendingStep::Mended, "n{late} is reached after a while");
    }
}

#[test]
fn nothing_missing_is_mended_without_a_question() {
    assert_eq!(fetch_all(&[], &[]), (MendingStep::Mended, vec![], 0));
    let (end, ..) = fetch_all(&[missing(&[(1, 1)])], &[]);
    assert_eq!(end, MendingStep::GaveUp(GaveUp::NobodyHas(Index(1))));
}

#[test]
fn an_answer_is_bounded_in_bytes_and_holds_at_least_one_entry() {
    let mut builder = EntriesBuilder::new();
    let half = usize::try_from(MAX_FETCH_BYTES / 2).unwrap();
    for (index, length) in [(1, 3 * half), (2, half - 16), (3, half - 16), (4, 1)] {
        let payload = vec![0; length].into();
        let id = EntryId::new(index, 1);
        builder.push(id, EntryKind::Command, payload).unwrap();
    }
    let whole = [builder.finish()];
    let first_of = |first| {
        let fetch = Fetch {
            first: Index(first),
            last: Index(4),
            max_bytes: MAX_FETCH_BYTES,
        };
        let FetchReply::Entries(entries) = serve(&whole, &fetch) else {
            return 0;
        };
        entries.len()
    };
    assert_eq!([1, 2, 3, 4, 5].map(first_of), [1, 2, 2, 1, 0]);
    let peers = [Some(whole.to_vec())];
    let (end, accepted, asked) = fetch_all(&[missing(&[(1, 4)])], &peers);
    assert_eq!((end, accepted.len(), asked), (MendingStep::Mended, 4, 3));
}
