//! Part 3D: log compaction.

use super::cluster::Lab;
use super::failure::Failure;

/// The fault of a server while the others go on and compact their logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    CutOff,
    Crash,
}

/// The log is compacted while all servers keep up.
pub(crate) fn snapshots_basic(lab: &mut Lab) -> Result<(), Failure> {
    snapshots(lab, Fault::None)
}

/// A server that was cut off needs a snapshot to catch up.
pub(crate) fn install_after_disconnect(lab: &mut Lab) -> Result<(), Failure> {
    snapshots(lab, Fault::CutOff)
}

/// A server that was down needs a snapshot to catch up.
pub(crate) fn install_after_crash(lab: &mut Lab) -> Result<(), Failure> {
    snapshots(lab, Fault::Crash)
}

fn snapshots(lab: &mut Lab, fault: Fault) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one(peers)?;
    let mut leader = lab.check_one_leader()?;
    for round in 0..30 {
        let mut victim = lab.after(leader, 1);
        let mut sender = leader;
        if round % 3 == 1 {
            core::mem::swap(&mut victim, &mut sender);
        }
        match fault {
            Fault::None => {}
            Fault::CutOff => lab.disconnect(victim),
            Fault::Crash => lab.crash(victim)?,
        }
        if fault != Fault::None {
            lab.one(peers - 1)?;
        }
        for _ in 0..lab.random.between(5, 14) {
            let command = lab.fresh_command();
            lab.start(sender, &command)?;
        }
        // Lets the other followers catch up, so that only the victim needs a snapshot.
        let servers = match fault {
            Fault::None => peers,
            Fault::CutOff | Fault::Crash => peers - 1,
        };
        lab.one(servers)?;
        check_state_size(lab)?;
        match fault {
            Fault::None => continue,
            Fault::CutOff => lab.connect(victim),
            Fault::Crash => lab.restart(victim)?,
        }
        lab.one(peers)?;
        leader = lab.check_one_leader()?;
    }
    Ok(())
}

fn check_state_size(lab: &Lab) -> Result<(), Failure> {
    const LIMIT: u64 = 2000;
    match lab.largest_state() {
        size if size < LIMIT => Ok(()),
        size => lab.fail(
            format!("the persisted Raft state is below {LIMIT} bytes on each server"),
            format!("{size}"),
        ),
    }
}

/// All servers crash at once and come back with their snapshots and logs.
pub(crate) fn crash_and_restart_all(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one(peers)?;
    for _ in 0..5 {
        for _ in 0..lab.random.between(5, 14) {
            lab.one(peers)?;
        }
        let before = lab.one(peers)?;
        restart_all(lab)?;
        let after = lab.one(peers)?;
        if after <= before {
            return lab.fail(
                format!("the next index is above {before}, the last before the crash"),
                format!("it is {after}"),
            );
        }
    }
    Ok(())
}

fn restart_all(lab: &mut Lab) -> Result<(), Failure> {
    for server in 0..lab.peers() {
        lab.crash(server)?;
    }
    for server in 0..lab.peers() {
        lab.restart(server)?;
    }
    Ok(())
}

/// Writes of a restarted server must not lose the snapshot that it started from.
pub(crate) fn snapshot_initialization_after_crash(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    for _ in 0..12 {
        lab.one(peers)?;
    }
    restart_all(lab)?;
    lab.one(peers)?;
    restart_all(lab)?;
    lab.one(peers)?;
    Ok(())
}
