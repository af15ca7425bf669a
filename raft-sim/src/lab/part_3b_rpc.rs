//! Part 3B: what agreement may cost, and commands that arrive at the same time.

use super::checks::{ELECTION, Waited};
use super::cluster::Lab;
use super::codec::command;
use super::failure::Failure;
use bytes::Bytes;
use raft_proto::EntryId;

/// How often a scenario starts over because the term changed.
const TRIES: u32 = 5;

/// Whether an attempt of a scenario counts.
enum Attempt {
    Valid,
    /// The term changed meanwhile.
    Void,
}

/// Each command goes to each follower once. The limit is one copy for each server, and 50,000
/// bytes.
pub(crate) fn rpc_byte_count(lab: &mut Lab) -> Result<(), Failure> {
    const LENGTH: u64 = 5000;
    const COMMANDS: u64 = 10;
    let peers = lab.peers();
    lab.one_without_retry(peers)?;
    let before = lab.network.bytes;
    for index in 2..2 + COMMANDS {
        let letters = (0..LENGTH).map(|_| b'a' + lab.random.below(26) as u8);
        let text: Bytes = letters.collect();
        lab.one_at(index, text, peers)?;
    }
    let sent = lab.network.bytes - before;
    let limit = peers as u64 * COMMANDS * LENGTH + 50_000;
    if sent <= limit {
        return Ok(());
    }
    lab.fail(
        format!("at most {limit} bytes for {COMMANDS} commands of {LENGTH}"),
        format!("{sent}"),
    )
}

/// Five clients propose at the same time: all their commands are committed.
pub(crate) fn concurrent_starts(lab: &mut Lab) -> Result<(), Failure> {
    for number in 0..TRIES {
        if number > 0 {
            lab.sleep(3 * ELECTION)?;
        }
        let leader = lab.check_one_leader()?;
        if let Attempt::Valid = start_five(lab, leader)? {
            return Ok(());
        }
    }
    lab.fail("a term that lasts", "it changed in each of five tries")
}

fn start_five(lab: &mut Lab, leader: usize) -> Result<Attempt, Failure> {
    let Some(EntryId { term, .. }) = lab.start(leader, &command(1))? else {
        return Ok(Attempt::Void);
    };
    // Threads that start together run in any order.
    let mut values: Vec<u64> = (100..105).collect();
    for at in (1..values.len()).rev() {
        let other = lab.random.below(at as u64 + 1) as usize;
        values.swap(at, other);
    }
    let mut indexes = Vec::new();
    for value in values {
        let started = lab.start(leader, &command(value))?;
        indexes.extend(started.filter(|id| id.term == term).map(|id| id.index.0));
    }
    if lab.any_term_other_than(term) {
        return Ok(Attempt::Void);
    }
    let mut committed = Vec::new();
    for index in indexes {
        if lab.wait(index, lab.peers(), Some(term))? == Waited::TermPassed {
            return Ok(Attempt::Void);
        }
        committed.extend(lab.service.command(index).cloned());
    }
    for value in 100..105 {
        if !committed.contains(&command(value)) {
            return lab.fail(
                format!("command {value} is among those committed"),
                format!("it is not: {committed:?}"),
            );
        }
    }
    Ok(Attempt::Valid)
}

/// An election, agreement, and a second without commands each cost few requests.
pub(crate) fn rpc_counts(lab: &mut Lab) -> Result<(), Failure> {
    lab.check_one_leader()?;
    let election = lab.handled();
    check_count(lab, "the first leader", 1, 30, election)?;
    for number in 0..TRIES {
        if number > 0 {
            lab.sleep(3 * ELECTION)?;
        }
        let leader = lab.check_one_leader()?;
        let before = lab.handled();
        if let Attempt::Void = agree_on_ten(lab, leader, before)? {
            continue;
        }
        let before = lab.handled();
        lab.sleep(ELECTION)?;
        let idle = lab.handled() - before;
        return check_count(lab, "a second of idleness", 0, 3 * 20, idle);
    }
    lab.fail("a term that lasts", "it changed in each of five tries")
}

fn check_count(lab: &Lab, of: &str, low: u64, high: u64, found: u64) -> Result<(), Failure> {
    if (low..=high).contains(&found) {
        return Ok(());
    }
    lab.fail(
        format!("{of} costs {low} to {high} requests"),
        format!("{found}"),
    )
}

fn agree_on_ten(lab: &mut Lab, leader: usize, before: u64) -> Result<Attempt, Failure> {
    const COMMANDS: u64 = 10;
    let Some(first) = lab.start(leader, &command(1))? else {
        return Ok(Attempt::Void);
    };
    let mut commands: Vec<Bytes> = Vec::new();
    for distance in 1..COMMANDS + 2 {
        let command = lab.fresh_command();
        let Some(id) = lab.start(leader, &command)? else {
            return Ok(Attempt::Void);
        };
        if id.term != first.term {
            return Ok(Attempt::Void);
        }
        if id.index != first.index.plus(distance) {
            return lab.fail(
                format!("the command gets index {}", first.index.plus(distance)),
                format!("it gets {}", id.index),
            );
        }
        commands.push(command);
    }
    for (distance, command) in (1..=COMMANDS).zip(&commands) {
        let index = first.index.plus(distance).0;
        if lab.wait(index, lab.peers(), Some(first.term))? == Waited::TermPassed {
            return Ok(Attempt::Void);
        }
        let found = lab.service.command(index);
        if found != Some(command) {
            return lab.fail(
                format!("{command:?} is committed at index {index}"),
                format!("{found:?} is"),
            );
        }
    }
    if lab.any_term_other_than(first.term) {
        return Ok(Attempt::Void);
    }
    let cost = lab.handled() - before;
    check_count(lab, "agreement on 12 commands", 0, (COMMANDS + 4) * 3, cost)?;
    Ok(Attempt::Valid)
}
