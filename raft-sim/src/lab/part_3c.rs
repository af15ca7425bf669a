//! Part 3C: persistence.

use super::checks::ELECTION;
use super::clients::{Agreement, Retry};
use super::cluster::Lab;
use super::codec::command;
use super::failure::Failure;
use super::network::{Reliability, Replies};

/// Agreement goes on after restarts of followers, of leaders, and of all servers.
pub(crate) fn basic_persistence(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one(peers)?;
    for server in 0..peers {
        lab.start_server(server)?;
    }
    for server in 0..peers {
        lab.disconnect(server);
        lab.connect(server);
    }
    lab.one(peers)?;

    let leader = lab.check_one_leader()?;
    lab.disconnect(leader);
    lab.restart(leader)?;
    lab.one(peers)?;

    let leader = lab.check_one_leader()?;
    lab.disconnect(leader);
    lab.one(peers - 1)?;
    lab.restart(leader)?;
    // The old leader must have caught up before the next server is cut off.
    lab.wait(4, peers, None)?;

    let follower = lab.check_one_leader()?;
    let follower = lab.after(follower, 1);
    lab.disconnect(follower);
    lab.one(peers - 1)?;
    lab.restart(follower)?;
    lab.one(peers)?;
    Ok(())
}

/// Majorities that overlap in only one server, again and again.
pub(crate) fn more_persistence(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    for _ in 0..5 {
        lab.one(peers)?;
        let leader = lab.check_one_leader()?;
        let [first, second, third, fourth] = [1, 2, 3, 4].map(|far| lab.after(leader, far));
        lab.disconnect(first);
        lab.disconnect(second);
        lab.one(peers - 2)?;
        lab.disconnect(leader);
        lab.disconnect(third);
        lab.disconnect(fourth);

        lab.start_server(first)?;
        lab.start_server(second)?;
        lab.connect(first);
        lab.connect(second);
        lab.sleep(ELECTION)?;
        lab.restart(third)?;
        lab.one(peers - 2)?;
        lab.connect(fourth);
        lab.connect(leader);
    }
    lab.one(peers)?;
    Ok(())
}

/// The server that was cut off lacks the last entry. The log that the restarted leader has on its
/// disk must win.
pub(crate) fn partitioned_leader_restarts(lab: &mut Lab) -> Result<(), Failure> {
    lab.one(3)?;
    let leader = lab.check_one_leader()?;
    let [next, last] = [1, 2].map(|far| lab.after(leader, far));
    lab.disconnect(last);
    lab.one(2)?;
    lab.crash(leader)?;
    lab.crash(next)?;
    lab.connect(last);
    lab.restart(leader)?;
    lab.one(2)?;
    lab.restart(next)?;
    lab.one(3)?;
    Ok(())
}

impl Lab {
    /// The pause between the steps of the Figure 8 scenarios: mostly a few ms, and one time in ten
    /// up to half an election.
    fn figure_8_pause(&mut self) -> u64 {
        if self.random.chance(100) {
            self.random.below(500)
        } else {
            self.random.below(13)
        }
    }
}

/// Leaders crash soon after they accept a command. Entries of earlier terms that a majority stores
/// may still be overwritten (section 5.4.2, Figure 8), but not once they are committed.
pub(crate) fn figure_8(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one(1)?;
    let mut running = peers;
    for _ in 0..1000 {
        let value = lab.fresh_command();
        let mut leader = None;
        for server in 0..peers {
            if lab.start(server, &value)?.is_some() {
                leader = Some(server);
            }
        }
        let pause = lab.figure_8_pause();
        lab.sleep_ms(pause)?;
        if let Some(leader) = leader {
            lab.crash(leader)?;
            running -= 1;
        }
        if running < 3 {
            let server = lab.random.below(peers as u64) as usize;
            if !lab.is_running(server) {
                lab.restart(server)?;
                running += 1;
            }
        }
    }
    for server in 0..peers {
        if !lab.is_running(server) {
            lab.restart(server)?;
        }
    }
    lab.one(peers)?;
    Ok(())
}

/// Five clients at once over a network that loses a fifth of the calls.
pub(crate) fn unreliable_agreement(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    for round in 1..50 {
        for client in 0..4 {
            let value = command(100 * round + client);
            let one = Agreement::new(lab.now(), value, 1, Retry::Allowed);
            lab.spawn(one);
        }
        lab.one_of(command(round), 1, Retry::Allowed)?;
    }
    lab.network.conditions.reliability = Reliability::Reliable;
    lab.join_clients()?;
    lab.one_of(command(100), peers, Retry::Allowed)?;
    Ok(())
}

/// Leaders are cut off soon after they accept a command, over a network that loses calls, and later
/// also holds back replies. It does so until the end, when five logs full of conflicts must agree
/// within 10 s.
pub(crate) fn figure_8_unreliable(lab: &mut Lab) -> Result<(), Failure> {
    let peers = lab.peers();
    lab.one(1)?;
    let mut connected = peers;
    for round in 0..1000 {
        if round == 200 {
            lab.network.conditions.replies = Replies::LongReordered;
        }
        let value = command(lab.random.below(10_000));
        let mut leader = None;
        for server in 0..peers {
            if lab.start(server, &value)?.is_some() && lab.is_connected(server) {
                leader = Some(server);
            }
        }
        let pause = lab.figure_8_pause();
        lab.sleep_ms(pause)?;
        if let Some(leader) = leader
            && lab.random.chance(500)
        {
            lab.disconnect(leader);
            connected -= 1;
        }
        if connected < 3 {
            let server = lab.random.below(peers as u64) as usize;
            if !lab.is_connected(server) {
                lab.connect(server);
                connected += 1;
            }
        }
    }
    for server in 0..peers {
        lab.connect(server);
    }
    lab.one(peers)?;
    Ok(())
}
