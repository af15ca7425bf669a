//! What is done to the servers: drawn from the seed, undone after a while.

use crate::network::{ANYONE, Link, Network};
use crate::report::Counts;
use crate::servers::{Servers, describe};
use raft_sim::random::Random;
use std::collections::BTreeMap;
use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How long a change of the members, or a hand-over, is waited for.
const CHANGE: Duration = Duration::from_secs(5);
/// How long all servers may take until each takes writes again, with all healed.
const RECOVERY: Duration = Duration::from_secs(60);
/// How long a server may still be at stopping over a full disk when there is space again.
const STOPPING: Duration = Duration::from_secs(5);

/// How a process ends that panicked.
const PANIC: i32 = 101;

/// What can be done. In the order of the table at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    Kill,
    KillAll,
    Pause,
    Cut,
    CutOneWay,
    Isolate,
    Hold,
    Slow,
    Flaky,
    CutClients,
    Transfer,
    Join,
    Leave,
    Snapshot,
    FillDisk,
}

impl Fault {
    /// All, and how often each of them is drawn.
    pub(crate) const ALL: [(Fault, u64); 15] = [
        (Fault::Kill, 34),
        (Fault::KillAll, 3),
        (Fault::Pause, 10),
        (Fault::Cut, 5),
        (Fault::CutOneWay, 6),
        (Fault::Isolate, 6),
        (Fault::Hold, 6),
        (Fault::Slow, 5),
        (Fault::Flaky, 5),
        (Fault::CutClients, 3),
        (Fault::Transfer, 8),
        (Fault::Join, 4),
        (Fault::Leave, 4),
        (Fault::Snapshot, 4),
        (Fault::FillDisk, 3),
    ];

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Fault::Kill => "servers killed (SIGKILL) and started again",
            Fault::KillAll => "all servers killed at once",
            Fault::Pause => "servers paused (SIGSTOP, SIGCONT)",
            Fault::Cut => "links cut, both ways",
            Fault::CutOneWay => "links cut, one way",
            Fault::Isolate => "servers cut off from all others",
            Fault::Hold => "links held up, then all late",
            Fault::Slow => "links slowed",
            Fault::Flaky => "links torn again and again",
            Fault::CutClients => "ports for forwarded requests cut",
            Fault::Transfer => "leadership moved",
            Fault::Join => "servers joined",
            Fault::Leave => "servers left",
            Fault::Snapshot => "snapshots asked for",
            Fault::FillDisk => "disks filled",
        }
    }
}

/// What ends a fault.
enum Undo {
    Start(u64),
    Continue(u64),
    Heal(Vec<(u64, u64)>),
    FreeDisk(u64),
}

/// Does all that.
pub(crate) struct Torturer {
    pub(crate) servers: Servers,
    pub(crate) counts: Counts,
    network: Network,
    random: Random,
    founders: u64,
    /// What is to be undone, and when.
    undo: Vec<(Instant, Undo)>,
    /// Servers whose disk is full, or was until then.
    full: BTreeMap<u64, Option<Instant>>,
    /// Changes of the members of which nobody knows whether they were made.
    joining: Option<u64>,
    leaving: Option<u64>,
}

impl Torturer {
    pub(crate) fn new(servers: Servers, network: Network, random: Random) -> Torturer {
        Torturer {
            founders: servers.ids().len() as u64,
            servers,
            counts: Counts::default(),
            network,
            random,
            undo: Vec::new(),
            full: BTreeMap::new(),
            joining: None,
            leaving: None,
        }
    }

    /// Undoes what is due, and looks for servers that ended though nobody ended them. Says what
    /// went wrong, if something did.
    pub(crate) fn watch(&mut self) -> io::Result<Option<String>> {
        let now = Instant::now();
        let (due, later) = self.undo.drain(..).partition(|(at, _)| *at <= now);
        self.undo = later;
        let due: Vec<(Instant, Undo)> = due;
        for (_, undo) in due {
            self.end(undo)?;
        }
        let is_over = |freed: &Option<Instant>| freed.is_some_and(|it| it.elapsed() > STOPPING);
        self.full.retain(|_, freed| !is_over(freed));
        for (id, status) in self.servers.ended()? {
            if let Some(wrong) = self.ended(id, status)? {
                return Ok(Some(wrong));
            }
        }
        Ok(None)
    }

    /// A server has ended by itself. Over a full disk it should, in order.
    fn ended(&mut self, id: u64, status: ExitStatus) -> io::Result<Option<String>> {
        let Some(freed) = self.full.get(&id) else {
            let how = format!("ended by itself: {status}");
            let may = self.leaving == Some(id);
            return Ok((!may).then(|| self.crashed(id, &how)));
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
        let words = self.servers.last_words(id);
        format!("server {id} {how}\nits last words:\n{words}")
    }

    fn end(&mut self, undo: Undo) -> io::Result<()> {
        match undo {
            Undo::Start(id) => self.servers.start(id),
            Undo::Continue(id) => self.servers.pause(id, false),
            Undo::Heal(links) => {
                for (from, to) in links {
                    self.network.set(from, to, None);
                }
                Ok(())
            }
            Undo::FreeDisk(id) => self.free_disk(id),
        }
    }

    /// A server whose disk was full has stopped meanwhile, or is about to, or has had nothing to
    /// write.
    fn free_disk(&mut self, id: u64) -> io::Result<()> {
        let disk = self.servers.get(id).and_then(|server| server.disk.as_ref());
        if let Some(disk) = disk {
            disk.free()?;
            self.full.insert(id, Some(Instant::now()));
        }
        self.servers.start(id)
    }

    /// Draws something, and does it if it can be done now.
    pub(crate) fn strike(&mut self) -> io::Result<()> {
        let sum = Fault::ALL.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.random.below(sum);
        let fault = Fault::ALL.iter().find(|(_, weight)| {
            let is_it = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            is_it
        });
        // The weights' sum was the bound.
        let fault = fault.map_or(Fault::Kill, |(fault, _)| *fault);
        if self.perform(fault)? {
            self.counts.did(fault);
        }
        Ok(())
    }

    /// Whether it was done.
    fn perform(&mut self, fault: Fault) -> io::Result<bool> {
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
                Ok(to.is_some_and(|to| self.links(Link::Cut, vec![(ANYONE, to)])))
            }
            Fault::Transfer => Ok(self.transfer()),
            Fault::Join => self.join(),
            Fault::Leave => self.leave(),
            Fault::Snapshot => Ok(self.snapshot()),
            Fault::FillDisk => self.fill_disk(),
        }
    }

    fn later(&mut self, low: u64, high: u64, undo: Undo) {
        let millis = self.random.between(low, high);
        let at = Instant::now() + Duration::from_millis(millis);
        self.undo.push((at, undo));
    }

    fn any_of(&mut self, ids: &[u64]) -> Option<u64> {
        let drawn = self.random.below(ids.len() as u64);
        ids.get(drawn as usize).copied()
    }

    fn any_running(&mut self) -> Option<u64> {
        let running = self.servers.running();
        self.any_of(&running)
    }

    /// Every second time the leader, if one is found.
    fn victim(&mut self) -> Option<u64> {
        let leader = self.random.below(2) == 0;
        let leader = leader.then(|| self.servers.leader()).flatten();
        leader.map(|it| it.node).or_else(|| self.any_running())
    }

    fn kill(&mut self) -> io::Result<bool> {
        let Some(id) = self.victim() else {
            return Ok(false);
        };
        self.counts.kills += u64::from(self.servers.kill(id)?);
        self.later(20, 2000, Undo::Start(id));
        Ok(true)
    }

    fn kill_all(&mut self) -> io::Result<bool> {
        let ids = self.servers.ids();
        for id in ids {
            self.counts.kills += u64::from(self.servers.kill(id)?);
            self.later(20, 1000, Undo::Start(id));
        }
        Ok(true)
    }

    fn pause(&mut self) -> io::Result<bool> {
        let Some(id) = self.victim() else {
            return Ok(false);
        };
        self.servers.pause(id, true)?;
        self.later(50, 3000, Undo::Continue(id));
        Ok(true)
    }

    /// Two servers that run.
    fn pair(&mut self) -> Option<(u64, u64)> {
        let a = self.victim()?;
        let mut others = self.servers.ids();
        others.retain(|id| *id != a);
        Some((a, self.any_of(&others)?))
    }

    fn links(&mut self, link: Link, links: Vec<(u64, u64)>) -> bool {
        for (from, to) in &links {
            self.network.set(*from, *to, Some(link));
        }
        self.later(200, 3000, Undo::Heal(links));
        true
    }

    /// Does it to a link, one way.
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
        let Some(id) = self.victim() else {
            return false;
        };
        let others = self.servers.ids().into_iter().filter(|other| *other != id);
        let mut links: Vec<_> = others.flat_map(|it| [(id, it), (it, id)]).collect();
        links.push((ANYONE, id));
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
        let done = self.order(&leader.node, &["RAFT", "TRANSFER", &to.to_string()]);
        self.counts.transfers_done += u64::from(done);
        true
    }

    fn order(&self, id: &u64, words: &[&str]) -> bool {
        let server = self.servers.get(*id);
        server.is_some_and(|it| crate::client::order(it.clients, words, CHANGE).is_ok())
    }

    fn snapshot(&mut self) -> bool {
        let id = self.any_running();
        id.is_some_and(|id| self.order(&id, &["RAFT", "SNAPSHOT"]))
    }

    /// Lets a further server join. One whose joining got no answer is asked for again first.
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
        Ok(self.ask_to_join())
    }

    fn ask_to_join(&mut self) -> bool {
        let server = self
            .joining
            .and_then(|id| Some((id, self.servers.get(id)?)));
        let Some((id, server)) = server else {
            return false;
        };
        let (id, address) = (id.to_string(), server.advertised_peers.to_string());
        let joined = self.servers.order(&["RAFT", "JOIN", &id, &address], CHANGE);
        if joined.is_ok() {
            self.joining = None;
        }
        joined.is_ok()
    }

    /// Lets any server leave, whoever leads, as long as there are more than at the beginning.
    fn leave(&mut self) -> io::Result<bool> {
        let mut members = self.servers.ids();
        members.retain(|id| self.joining != Some(*id));
        if self.leaving.is_none() {
            if members.len() as u64 <= self.founders {
                return Ok(false);
            }
            self.leaving = self.any_of(&members);
        }
        self.ask_to_leave()
    }

    fn ask_to_leave(&mut self) -> io::Result<bool> {
        let Some(id) = self.leaving else {
            return Ok(false);
        };
        let left = self
            .servers
            .order(&["RAFT", "LEAVE", &id.to_string()], CHANGE);
        // It may have left when that was asked for before.
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
        self.later(500, 5000, Undo::FreeDisk(id));
        Ok(true)
    }

    /// Undoes all, and waits until every server takes a write. Says what went wrong, if it did not.
    pub(crate) fn recover(&mut self) -> io::Result<Option<String>> {
        self.network.heal();
        for (_, undo) in std::mem::take(&mut self.undo) {
            self.end(undo)?;
        }
        let begun = Instant::now();
        loop {
            if let Some(wrong) = self.watch()? {
                return Ok(Some(wrong));
            }
            let Some(lack) = self.lack()? else {
                break;
            };
            if begun.elapsed() > RECOVERY {
                let how = format!("{lack} {RECOVERY:?} after all was healed");
                let statuses: Vec<String> = self.servers.statuses().iter().map(describe).collect();
                return Ok(Some(format!("{how}\n{}", statuses.join("\n"))));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.counts.recovered(begun.elapsed());
        Ok(None)
    }

    /// What is not as it should be when all is healed.
    fn lack(&mut self) -> io::Result<Option<String>> {
        if let Some(id) = self.joining
            && !self.ask_to_join()
        {
            return Ok(Some(format!("server {id} could not join")));
        }
        if let Some(id) = self.leaving
            && !self.ask_to_leave()?
        {
            return Ok(Some(format!("server {id} could not leave")));
        }
        let ids = self.servers.ids();
        if let Some(id) = ids.iter().find(|id| !self.takes_writes(**id)) {
            return Ok(Some(format!("server {id} took no writes")));
        }
        let Some(leader) = self.servers.leader() else {
            return Ok(Some("nobody led".into()));
        };
        let voters = leader.members.iter().filter(|it| it.role == "voter");
        let mut voters: Vec<u64> = voters.map(|it| it.node).collect();
        voters.sort_unstable();
        let are_all = leader.members.len() == ids.len() && voters == ids;
        Ok((!are_all).then(|| format!("servers {ids:?} were not the voters, but {voters:?}")))
    }

    fn takes_writes(&self, id: u64) -> bool {
        let timeout = Duration::from_secs(3);
        let words = ["SET", "torture", "healed"];
        let server = self.servers.get(id);
        server.is_some_and(|it| crate::client::order(it.clients, &words, timeout).is_ok())
    }
}
