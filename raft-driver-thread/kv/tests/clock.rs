//! A key lives as long as it should, whatever the wall clocks of the servers show meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/state.rs"]
mod support;

use raft_kv::state::{
    Answer, Command, Condition, Expiry, Machine, Operation, Payload, Reply, Set, SetReply,
    StateClock,
};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const YEAR: u64 = 365 * 24 * HOUR;

/// How often a server looks at its state, and how late an entry is applied at the others.
const TICK: u64 = 100;

/// What may be lost of the time at each handover: an entry that was not seen, and a tick.
const LOST_AT_HANDOVER: u64 = 5 * TICK;

/// A server: its clocks, and its copy of the state.
struct Server {
    machine: Machine,
    clock: StateClock,
    /// Its boot clock began so long before the test.
    booted: u64,
    /// What its wall clock shows at the beginning.
    wall: u64,
}

/// The servers of a cluster, of which one leads.
struct Cluster {
    servers: Vec<Server>,
    leader: usize,
    /// The true time since the beginning.
    now: u64,
    index: u64,
}

impl Cluster {
    /// A cluster whose servers' wall clocks show these times at its birth.
    fn born(walls: &[u64]) -> Cluster {
        let server = |(place, wall): (usize, &u64)| Server {
            machine: Machine::new(),
            clock: StateClock::new(),
            booted: (place as u64 + 1) * 77_777,
            wall: *wall,
        };
        let mut cluster = Cluster {
            servers: walls.iter().enumerate().map(server).collect(),
            leader: 0,
            now: 0,
            index: 0,
        };
        let first = &cluster.servers[0];
        first.clock.observe(first.wall, first.booted);
        cluster.enter(Operation::AdvanceTime);
        cluster
    }

    /// The leader stamps an entry, and all servers apply it.
    fn enter(&mut self, operation: Operation) -> Answer {
        let leader = &self.servers[self.leader];
        let time = leader.clock.at(leader.booted + self.now).unwrap();
        let payload = Payload::encode_parts(time, &operation);
        self.index += 1;
        let mut answers = Vec::new();
        for server in &mut self.servers {
            answers.push(server.machine.apply_one(self.index, &payload));
        }
        answers.swap_remove(self.leader)
    }

    /// Lets time pass, in which servers look at their states and the leader proposes the time.
    fn pass(&mut self, time: u64) {
        let step = (time / 50).max(TICK);
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + step);
            self.enter(Operation::AdvanceTime);
            for server in &mut self.servers {
                let late = self.now + TICK;
                server
                    .clock
                    .observe(server.machine.time(), server.booted + late);
            }
        }
    }

    fn set(&mut self, key: &str, millis: u64) {
        let set = Set {
            key: support::b(key),
            value: support::b("v"),
            condition: Condition::Always,
            expiry: Expiry::In(millis),
            reply: SetReply::Ok,
        };
        let commands = vec![Command::Set(set)];
        let origin = None;
        let answer = self.enter(Operation::Commands { origin, commands });
        assert_eq!(answer, Answer::Replies(vec![Reply::Ok]));
    }

    fn lives(&self, key: &str) -> bool {
        let command = Command::Exists(vec![support::b(key)]);
        let lives = |server: &Server| server.machine.query(&command) == Reply::Integer(1);
        let first = lives(&self.servers[0]);
        assert!(
            self.servers.iter().all(|server| lives(server) == first),
            "they disagree"
        );
        first
    }
}

/// Wall clocks at the birth: right; one in 1970; 40 s apart; one an hour ahead.
const WALLS: [[u64; 3]; 4] = [
    [50 * YEAR, 50 * YEAR, 50 * YEAR],
    [1, 50 * YEAR, 50 * YEAR],
    [50 * YEAR, 50 * YEAR + 40 * SECOND, 50 * YEAR - 40 * SECOND],
    [50 * YEAR + HOUR, 50 * YEAR, 50 * YEAR],
];

/// Who leads, one after the other.
const HANDOVERS: [&[usize]; 4] = [&[0], &[0, 1], &[0, 1, 0, 1, 0], &[0, 2, 1, 0, 2, 1, 0]];

/// By how much the next leader's wall clock is set before each handover.
const STEPS: [i64; 5] = [
    0,
    -(HOUR as i64),
    HOUR as i64,
    40 * SECOND as i64,
    50 * YEAR as i64,
];

#[test]
fn a_key_lives_its_time_over_every_combination_of_clock_steps_and_handovers() {
    for walls in WALLS {
        for leaders in HANDOVERS {
            for step in STEPS {
                for life in [30 * SECOND, 600 * SECOND, YEAR] {
                    let case =
                        format!("walls {walls:?} leaders {leaders:?} step {step} life {life}");
                    let mut cluster = Cluster::born(&walls);
                    cluster.set("a", life);
                    let part = life / leaders.len() as u64;
                    for leader in leaders {
                        let next = &mut cluster.servers[*leader];
                        next.wall = next.wall.saturating_add_signed(step);
                        cluster.leader = *leader;
                        assert!(cluster.lives("a"), "{case}: gone at {}", cluster.now);
                        cluster.pass(part - 1);
                    }
                    assert!(cluster.lives("a"), "{case}: gone at {}", cluster.now);
                    let lost = LOST_AT_HANDOVER * leaders.len() as u64;
                    cluster.pass(lost + leaders.len() as u64);
                    assert!(
                        !cluster.lives("a"),
                        "{case}: still there at {}",
                        cluster.now
                    );
                }
            }
        }
    }
}

#[test]
fn of_several_observations_the_one_that_gives_the_latest_time_counts() {
    let clock = StateClock::new();
    assert_eq!(clock.at(5), None);
    clock.observe(1_000, 50);
    assert_eq!(clock.at(60), Some(1_010));
    // Applied late.
    clock.observe(1_005, 70);
    assert_eq!(clock.at(70), Some(1_020));
    clock.observe(1_030, 70);
    assert_eq!(clock.at(71), Some(1_031));
    // Nothing overflows.
    clock.observe(u64::MAX, 0);
    assert!(clock.at(u64::MAX).is_some());
}
