//! Part 3B: the log.

use super::checks::ELECTION;
use super::cluster::Lab;
use super::codec::command;
use super::failure::Failure;

/// Commands are committed at the indexes 1, 2, 3, and not before they are proposed.
pub(crate) fn basic_agreement(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    for index in 1..=3 {
        lab.check_not_committed(index, "it was not proposed")?;
        lab.one_at(index, command(index * 100), peers)?;
    }
    Ok(())
}

/// Agreement goes on while one follower is cut off. It stops when both are.
pub(crate) fn progressive_failure_of_followers(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one_without_retry(peers)?;
    let leader = lab.check_one_leader()?;
    lab.disconnect(lab.after(leader, 1));
    lab.one_without_retry(peers - 1)?;
    lab.sleep(ELECTION)?;
    lab.one_without_retry(peers - 1)?;

    let leader = lab.check_one_leader()?;
    lab.disconnect(lab.after(leader, 1));
    lab.disconnect(lab.after(leader, 2));
    check_index(lab, leader, 4, 4)?;
    lab.sleep(2 * ELECTION)?;
    lab.check_not_committed(4, "the leader is alone")
}

/// Agreement goes on after one leader is cut off. It stops when the next one is cut off too.
pub(crate) fn failure_of_leaders(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one_without_retry(peers)?;
    let first = lab.check_one_leader()?;
    lab.disconnect(first);
    lab.one_without_retry(peers - 1)?;
    lab.sleep(ELECTION)?;
    lab.one_without_retry(peers - 1)?;

    let second = lab.check_one_leader()?;
    lab.disconnect(second);
    for server in 0..peers {
        lab.start(server, &command(104))?;
    }
    lab.sleep(2 * ELECTION)?;
    lab.check_not_committed(4, "one of three servers is connected")
}

/// A follower that was cut off catches up.
pub(crate) fn agreement_after_follower_reconnects(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one_without_retry(peers)?;
    let leader = lab.check_one_leader()?;
    let follower = lab.after(leader, 1);
    lab.disconnect(follower);
    lab.one_without_retry(peers - 1)?;
    lab.one_without_retry(peers - 1)?;
    lab.sleep(ELECTION)?;
    lab.one_without_retry(peers - 1)?;
    lab.one_without_retry(peers - 1)?;

    lab.connect(follower);
    lab.one(peers)?;
    lab.sleep(ELECTION)?;
    lab.one(peers)?;
    Ok(())
}

/// Three of five servers are cut off: nothing is committed until they are back.
pub(crate) fn no_agreement_without_majority(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one_without_retry(peers)?;
    let leader = lab.check_one_leader()?;
    for distance in 1..=3 {
        lab.disconnect(lab.after(leader, distance));
    }
    check_index(lab, leader, 2, 2)?;
    lab.sleep(2 * ELECTION)?;
    lab.check_not_committed(2, "two of five servers are connected")?;

    for distance in 1..=3 {
        lab.connect(lab.after(leader, distance));
    }
    // The majority may have elected a leader that does not have the entry at index 2.
    let second = lab.check_one_leader()?;
    check_index(lab, second, 2, 3)?;
    lab.one(peers)?;
    Ok(())
}

/// A fresh command at `leader` is accepted at an index from `low` to `high`.
fn check_index(lab: &mut Lab, leader: usize, low: u64, high: u64) -> Result<(), Failure> {
    let index = lab.start_at_leader(leader)?;
    if (low..=high).contains(&index) {
        return Ok(());
    }
    lab.fail(
        format!("the command gets an index from {low} to {high}"),
        format!("it gets {index}"),
    )
}

/// A leader comes back with entries that were never committed, and then leads again.
pub(crate) fn rejoin_of_partitioned_leader(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one(peers)?;
    let first = lab.check_one_leader()?;
    lab.disconnect(first);
    for value in 102..=104 {
        lab.start(first, &command(value))?;
    }
    lab.one(peers - 1)?;

    let second = lab.check_one_leader()?;
    lab.disconnect(second);
    lab.connect(first);
    lab.one(peers - 1)?;
    lab.connect(second);
    lab.one(peers)?;
    Ok(())
}

/// Two groups in turn gather fifty entries that conflict. Each group must give way within the time
/// of one agreement.
pub(crate) fn leader_backs_up_quickly(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one(peers)?;
    let first = lab.check_one_leader()?;
    let follower = lab.after(first, 1);
    let majority = [2, 3, 4].map(|distance| lab.after(first, distance));

    // Fifty entries that reach two of five servers.
    for server in majority {
        lab.disconnect(server);
    }
    start_many(lab, first)?;
    lab.sleep(ELECTION / 2)?;
    lab.disconnect(first);
    lab.disconnect(follower);

    // The other three commit fifty.
    for server in majority {
        lab.connect(server);
    }
    commit_many(lab)?;

    // Of those three, the leader and one more gather another fifty.
    let second = lab.check_one_leader()?;
    let mut other = lab.after(first, 2);
    if other == second {
        other = lab.after(second, 1);
    }
    lab.disconnect(other);
    start_many(lab, second)?;
    lab.sleep(ELECTION / 2)?;

    // The first two come back together with `other`, the only one of these three that has the
    // committed entries.
    for server in 0..peers {
        lab.disconnect(server);
    }
    for server in [first, follower, other] {
        lab.connect(server);
    }
    commit_many(lab)?;

    for server in 0..peers {
        lab.connect(server);
    }
    lab.one(peers)?;
    Ok(())
}

fn start_many(lab: &mut Lab, leader: usize) -> Result<(), Failure> {
    for _ in 0..50 {
        let command = lab.fresh_command();
        lab.start(leader, &command)?;
    }
    Ok(())
}

fn commit_many(lab: &mut Lab) -> Result<(), Failure> {
    for _ in 0..50 {
        lab.one(3)?;
    }
    Ok(())
}
