//! The nemesis: injects faults that are drawn from the seed, and heals each after a while.

use crate::counts::Counts;
use crate::fault::Fault;
use crate::network::{ANY_CLIENT, Link, Network};
use crate::servers::{Servers, describe};
use raft_sim::random::Random;
use std::collections::BTreeMap;
use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How long a change of the membership, or a leadership transfer, may take.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take, after everything is healed, until all servers accept writes.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long after its disk was freed a server may still stop because the disk was full.
const STOP_DELAY: Duration = Duration::from_secs(5);

/// The exit code of a process that panicked.
const PANIC: i32 = 101;

/// What ends a fault.
enum Heal {
    Start(u64),
    Continue(u64),
    Links(Vec<(u64, u64)>),
    FreeDisk(u64),
}

/// The end of a fault, and when it is due.
struct Pending {
    due: Instant,
    heal: Heal,
}

/// See the [module](self).
pub(crate) struct Nemesis {
    pub(crate) servers: Servers,
    pub(crate) counts: Counts,
    network: Network,
    random: Random,
    founders: u64,
    pending: Vec<Pending>,
    /// Servers whose disk is full (`None`), or was full until then.
    full: BTreeMap<u64, Option<Instant>>,
    /// A server whose join got no reply: it is not known whether it was made a member.
    joining: Option<u64>,
    /// Likewise for a removal.
    leaving: Option<u64>,
}

impl Nemesis {
    pub(crate) fn new(servers: Servers, network: Network, random: Random) -> Nemesis {
        Nemesis {
            founders: servers.ids().len() as u64,
            servers,
            counts: Counts::default(),
            network,
            random,
            pending: Vec::new(),
            full: BTreeMap::new(),
            joining: None,
            leaving: None,
        }
    }

    /// Ends the faults that are due, and checks for servers that ended by themselves. Returns what
    /// went wrong, if something did.
    pub(crate) fn watch(&mut self) -> io::Result<Option<String>> {
        let now = Instant::now();
        let pending = std::mem::take(&mut self.pending);
        for it in pending {
            if it.due <= now {
                self.heal(it.heal)?;
            } else {
                self.pending.push(it);
            }
        }
        let is_over = |freed: &Option<Instant>| freed.is_some_and(|it| it.elapsed() > STOP_DELAY);
        self.full.retain(|_, freed| !is_over(freed));
        for (id, status) in self.servers.take_ended()? {
            if let Some(wrong) = self.judge_exit(id, status)? {
                return Ok(Some(wrong));
            }
        }
        Ok(None)
    }

    /// Judges a server that has ended by itself. With a full disk it should, but not by a crash.
    fn judge_exit(&mut self, id: u64, status: ExitStatus) -> io::Result<Option<String>> {
        let Some(freed) = self.full.get(&id) else {
            let how = format!("ended by itself: {status}");
            let is_allowed = self.leaving == Some(id);
            return Ok((!is_allowed).then(|| self.crashed(id, &how)));
        };
        if status.code().is_none_or(|code| code == PANIC) {
            let how = format!("crashed on a full disk: {status}");
            return Ok(Some(self.crashed(id, &how)));
        }
        self.counts.stopped_when_full += 1;
        if freed.is_some() {
            self.servers.start(id)?;
        }
        Ok(None)
    }

    fn crashed(&self, id: u64, how: &str) -> String {
        let log = self.servers.log_tail(id);
        format!("server {id} {how}\nthe end of its log:\n{log}")
    }

    fn heal(&mut self, heal: Heal) -> io::Result<()> {
        match heal {
            Heal::Start(id) => self.servers.start(id),
            Heal::Continue(id) => self.servers.resume(id),
            Heal::Links(links) => {
                for (from, to) in links {
                    self.network.set(from, to, None);
                }
                Ok(())
            }
            Heal::FreeDisk(id) => self.free_disk(id),
        }
    }

    /// The server has stopped meanwhile, or is about to stop, or had nothing to write.
    fn free_disk(&mut self, id: u64) -> io::Result<()> {
        let disk = self.servers.get(id).and_then(|server| server.disk.as_ref());
        if let Some(disk) = disk {
            disk.free()?;
            self.full.insert(id, Some(Instant::now()));
        }
        self.servers.start(id)
    }

    /// Draws a fault, and injects it if that is possible now.
    pub(crate) fn inject_any(&mut self) -> io::Result<()> {
        let sum = Fault::ALL.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.random.below(sum);
        let fault = Fault::ALL.iter().find(|(_, weight)| {
            let is_drawn = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            is_drawn
        });
        // One is always found: the bound was the sum of the weights.
        let fault = fault.map_or(Fault::Kill, |(fault, _)| *fault);
        if self.inject(fault)? {
            self.counts.add(fault);
        }
        Ok(())
    }

    /// Returns whether the fault was injected.
    fn inject(&mut self, fault: Fault) -> io::Result<bool> {
        match fault {
            Fault::Kill => self.kill(),
            Fault::KillAll => self.kill_all(),
            Fault::Pause => self.pause(),
            Fault::Cut => {
                let Some((a, b)) = self.pair() else {
                    return Ok(false);
                };
                Ok(self.links(Link::Cut, vec![(a, b), (b, a)]))
            }
            Fault::CutOneWay => Ok(self.one_way(Link::Cut)),
            Fault::Hold => Ok(self.one_way(Link::Held)),
            Fault::Isolate => Ok(self.isolate()),
            Fault::Slow => {
                let late = Duration::from_millis(self.random.between(1, 100));
                Ok(self.one_way(Link::Slow(late)))
            }
            Fault::Flaky => {
                let one_in = self.random.between(3, 60);
                Ok(self.one_way(Link::Flaky(one_in)))
            }
            Fault::CutClients => {
                let to = self.any_running();
                Ok(to.is_some_and(|to| self.links(Link::Cut, vec![(ANY_CLIENT, to)])))
            }
            Fault::Transfer => Ok(self.transfer()),
            Fault::Join => self.join(),
            Fault::Leave => self.leave(),
            Fault::Snapshot => Ok(self.snapshot()),
            Fault::FillDisk => self.fill_disk(),
        }
    }

    fn heal_later(&mut self, low: u64, high: u64, heal: Heal) {
        let millis = self.random.between(low, high);
        let due = Instant::now() + Duration::from_millis(millis);
        self.pending.push(Pending { due, heal });
    }

    fn any_of(&mut self, ids: &[u64]) -> Option<u64> {
        let drawn = self.random.below(ids.len() as u64);
        ids.get(drawn as usize).copied()
    }

    fn any_running(&mut self) -> Option<u64> {
        let running = self.servers.running();
        self.any_of(&running)
    }

    /// The leader in half of the draws, if there is one.
    fn target(&mut self) -> Option<u64> {
        let leader = self.random.below(2) == 0;
        let leader = leader.then(|| self.servers.leader()).flatten();
        leader.map(|it| it.node).or_else(|| self.any_running())
    }

    fn kill(&mut self) -> io::Result<bool> {
        let Some(id) = self.target() else {
            return Ok(false);
        };
        self.counts.kills += u64::from(self.servers.kill(id)?);
        self.heal_later(20, 2000, Heal::Start(id));
        Ok(true)
    }

    fn kill_all(&mut self) -> io::Result<bool> {
        let ids = self.servers.ids();
        for id in ids {
            self.counts.kills += u64::from(self.servers.kill(id)?);
            self.heal_later(20, 1000, Heal::Start(id));
        }
        Ok(true)
    }

    fn pause(&mut self) -> io::Result<bool> {
        let Some(id) = self.target() else {
            return Ok(false);
        };
        self.servers.pause(id)?;
        self.heal_later(50, 3000, Heal::Continue(id));
        Ok(true)
    }

    /// Two servers, of which the first one runs.
    fn pair(&mut self) -> Option<(u64, u64)> {
        let a = self.target()?;
        let mut others = self.servers.ids();
        others.retain(|id| *id != a);
        Some((a, self.any_of(&others)?))
    }

    fn links(&mut self, link: Link, links: Vec<(u64, u64)>) -> bool {
        for (from, to) in &links {
            self.network.set(*from, *to, Some(link));
        }
        self.heal_later(200, 3000, Heal::Links(links));
        true
    }

    /// Changes one direction of a random link.
    fn one_way(&mut self, link: Link) -> bool {
        let Some((a, b)) = self.pair() else {
            return false;
        };
        let way = if self.random.below(2) == 0 {
            (a, b)
        } else {
            (b, a)
        };
        self.links(link, vec![way])
    }

    fn isolate(&mut self) -> bool {
        let Some(id) = self.target() else {
            return false;
        };
        let others = self.servers.ids().into_iter().filter(|other| *other != id);
        let mut links: Vec<_> = others.flat_map(|it| [(id, it), (it, id)]).collect();
        links.push((ANY_CLIENT, id));
        self.links(Link::Cut, links)
    }

    fn transfer(&mut self) -> bool {
        let Some(leader) = self.servers.leader() else {
            return false;
        };
        let mut others = self.servers.running();
        others.retain(|id| *id != leader.node);
        let Some(to) = self.any_of(&others) else {
            return false;
        };
        let done = self.command(&leader.node, &["RAFT", "TRANSFER", &to.to_string()]);
        self.counts.transfers_done += u64::from(done);
        true
    }

    fn command(&self, id: &u64, words: &[&str]) -> bool {
        let server = self.servers.get(*id);
        server.is_some_and(|it| crate::client::command(it.clients, words, CHANGE_TIMEOUT).is_ok())
    }

    fn snapshot(&mut self) -> bool {
        let id = self.any_running();
        id.is_some_and(|id| self.command(&id, &["RAFT", "SNAPSHOT"]))
    }

    /// Lets another server join. If the last join got no reply, it is repeated first.
    fn join(&mut self) -> io::Result<bool> {
        if self.servers.ids().len() as u64 >= self.founders + 2 && self.joining.is_none() {
            return Ok(false);
        }
        let id = match self.joining {
            Some(id) => id,
            None => self.servers.add()?,
        };
        self.joining = Some(id);
        self.servers.start(id)?;
        Ok(self.request_join())
    }

    fn request_join(&mut self) -> bool {
        let server = self
            .joining
            .and_then(|id| Some((id, self.servers.get(id)?)));
        let Some((id, server)) = server else {
            return false;
        };
        let (id, address) = (id.to_string(), server.advertised_peers.to_string());
        let joined = self
            .servers
            .command(&["RAFT", "JOIN", &id, &address], CHANGE_TIMEOUT);
        if joined.is_ok() {
            self.joining = None;
        }
        joined.is_ok()
    }

    /// Removes any server, also the leader, as long as there are more than founded the cluster.
    fn leave(&mut self) -> io::Result<bool> {
        let mut members = self.servers.ids();
        members.retain(|id| self.joining != Some(*id));
        if self.leaving.is_none() {
            if members.len() as u64 <= self.founders {
                return Ok(false);
            }
            self.leaving = self.any_of(&members);
        }
        self.request_leave()
    }

    fn request_leave(&mut self) -> io::Result<bool> {
        let Some(id) = self.leaving else {
            return Ok(false);
        };
        let left = self
            .servers
            .command(&["RAFT", "LEAVE", &id.to_string()], CHANGE_TIMEOUT);
        // An earlier request may have removed it.
        if left.is_err_and(|error| !error.to_string().contains("is no member")) {
            return Ok(false);
        }
        self.leaving = None;
        self.full.remove(&id);
        self.servers.remove(id)?;
        Ok(true)
    }

    fn fill_disk(&mut self) -> io::Result<bool> {
        let has_disk = |id: &u64| self.servers.get(*id).is_some_and(|it| it.disk.is_some());
        let mut small = self.servers.running();
        small.retain(has_disk);
        let Some(id) = self.any_of(&small) else {
            return Ok(false);
        };
        let disk = self.servers.get(id).and_then(|server| server.disk.as_ref());
        let Some(disk) = disk.filter(|_| !self.full.contains_key(&id)) else {
            return Ok(false);
        };
        disk.fill()?;
        self.full.insert(id, None);
        self.heal_later(500, 5000, Heal::FreeDisk(id));
        Ok(true)
    }

    /// Heals everything, and waits until every server accepts a write. Returns what went wrong, if
    /// something did.
    pub(crate) fn recover(&mut self) -> io::Result<Option<String>> {
        self.network.heal();
        for pending in std::mem::take(&mut self.pending) {
            self.heal(pending.heal)?;
        }
        let begun = Instant::now();
        loop {
            if let Some(wrong) = self.watch()? {
                return Ok(Some(wrong));
            }
            let Some(problem) = self.problem()? else {
                break;
            };
            if begun.elapsed() > RECOVERY_TIMEOUT {
                let how = format!("{problem} {RECOVERY_TIMEOUT:?} after everything was healed");
                let statuses: Vec<String> = self.servers.statuses().iter().map(describe).collect();
                return Ok(Some(format!("{how}\n{}", statuses.join("\n"))));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.counts.recovered(begun.elapsed());
        Ok(None)
    }

    /// What is not as it should be once everything is healed.
    fn problem(&mut self) -> io::Result<Option<String>> {
        if let Some(id) = self.joining
            && !self.request_join()
        {
            return Ok(Some(format!("server {id} could not join")));
        }
        if let Some(id) = self.leaving
            && !self.request_leave()?
        {
            return Ok(Some(format!("server {id} could not leave")));
        }
        let ids = self.servers.ids();
        if let Some(id) = ids.iter().find(|id| !self.accepts_writes(**id)) {
            return Ok(Some(format!("server {id} accepted no writes")));
        }
        let Some(leader) = self.servers.leader() else {
            return Ok(Some("there was no leader".into()));
        };
        let voters = leader.members.iter().filter(|it| it.role == "voter");
        let mut voters: Vec<u64> = voters.map(|it| it.node).collect();
        voters.sort_unstable();
        let are_all = leader.members.len() == ids.len() && voters == ids;
        Ok((!are_all).then(|| format!("the voters were {voters:?}, not the servers {ids:?}")))
    }

    fn accepts_writes(&self, id: u64) -> bool {
        let timeout = Duration::from_secs(3);
        let words = ["SET", "nemesis", "healed"];
        let server = self.servers.get(id);
        server.is_some_and(|it| crate::client::command(it.clients, &words, timeout).is_ok())
    }
}
