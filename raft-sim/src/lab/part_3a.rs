//! Part 3A: leader election.

use super::checks::ELECTION;
use super::cluster::Lab;
use super::failure::Failure;
use raft_proto::Term;

/// A leader is elected, and it remains leader while nothing fails.
pub(crate) fn initial_election(lab: &mut Lab) -> Result<(), Failure> {
    lab.check_one_leader()?;
    // Followers may not have heard of the election yet.
    lab.sleep_ms(50)?;
    let term = lab.check_terms()?;
    if term < Term(1) {
        return lab.fail("a leader's term is at least 1", format!("it is {term}"));
    }
    lab.sleep(2 * ELECTION)?;
    let later = lab.check_terms()?;
    if term != later {
        lab.warn(format!(
            "the term changed from {term} to {later} although nothing failed"
        ));
    }
    lab.check_one_leader()?;
    Ok(())
}

/// A leader that is cut off is replaced, and comes back as a follower. Without a majority there is
/// no leader.
pub(crate) fn election_after_network_failure(lab: &mut Lab) -> Result<(), Failure> {
    let first = lab.check_one_leader()?;
    lab.disconnect(first);
    lab.check_one_leader()?;
    lab.connect(first);
    let second = lab.check_one_leader()?;

    let other = lab.after(second, 1);
    lab.disconnect(second);
    lab.disconnect(other);
    lab.sleep(2 * ELECTION)?;
    lab.check_no_leader()?;

    lab.connect(other);
    lab.check_one_leader()?;
    lab.connect(second);
    lab.check_one_leader()?;
    Ok(())
}

/// Up to three of seven servers are cut off, again and again.
pub(crate) fn multiple_elections(lab: &mut Lab) -> Result<(), Failure> {
    lab.check_one_leader()?;
    for _ in 0..9 {
        let peers = lab.peers() as u64;
        let cut: [usize; 3] = core::array::from_fn(|_| lab.random.below(peers) as usize);
        for server in cut {
            lab.disconnect(server);
        }
        lab.check_one_leader()?;
        for server in cut {
            lab.connect(server);
        }
    }
    lab.check_one_leader()?;
    Ok(())
}
