//! Part 3C: clients propose while servers crash, restart, and are cut off.

use super::checks::ELECTION;
use super::clients::{ChurnClient, ChurnRecord};
use super::cluster::Lab;
use super::failure::Failure;
use super::network::Reliability;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// All commands that a client saw committed are in the final log, and all servers have that log.
pub(crate) fn churn(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    let record = Rc::new(RefCell::new(ChurnRecord::default()));
    for number in 0..3 {
        lab.spawn(ChurnClient::new(number, &record));
    }
    for _ in 0..20 {
        disturb(lab)?;
        // Shorter than most elections, so that some elections are interrupted.
        lab.sleep(ELECTION * 7 / 10)?;
    }
    lab.sleep(ELECTION)?;
    lab.network.conditions.reliability = Reliability::Reliable;
    for server in 0..peers {
        if !lab.is_running(server) {
            lab.start_server(server)?;
        }
        lab.connect(server);
    }
    record.borrow_mut().is_over = true;
    lab.join_clients()?;
    lab.sleep(ELECTION)?;

    let last = lab.one(peers)?;
    for index in 1..=last {
        lab.wait(index, peers, None)?;
    }
    let through = usize::try_from(last).unwrap_or(usize::MAX);
    let log = lab.service.commands().iter().take(through);
    let log: BTreeSet<_> = log.collect();
    let committed = &record.borrow().committed;
    match committed.iter().find(|value| !log.contains(value)) {
        None => Ok(()),
        Some(value) => lab.fail(
            format!("command {value:?}, which a client saw committed, is in the final log"),
            "it is not",
        ),
    }
}

fn disturb(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers() as u64;
    if lab.random.chance(200) {
        let server = lab.random.below(peers) as usize;
        lab.disconnect(server);
    }
    if lab.random.chance(500) {
        let server = lab.random.below(peers) as usize;
        if !lab.is_running(server) {
            lab.start_server(server)?;
        }
        lab.connect(server);
    }
    if lab.random.chance(200) {
        let server = lab.random.below(peers) as usize;
        if lab.is_running(server) {
            lab.crash(server)?;
        }
    }
    Ok(())
}
