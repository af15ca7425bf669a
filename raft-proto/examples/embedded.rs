//! A driver for a device without an operating system: no threads, no files, no sockets; a clock, a
//! radio whose datagrams get lost, and a small flash memory.
//!
//! ```sh
//! cargo run -p raft-proto --example embedded
//! ```
//!
//! The driver is `parts/embedded_driver.rs`, and needs no standard library. Here three of them run
//! on devices that are simulated. The leader's power fails in the middle of a write. While it is
//! away, the others replace their logs by snapshots, so that it gets one when it is back.

#[path = "parts/embedded_driver.rs"]
mod embedded_driver;
#[path = "parts/frame.rs"]
mod frame;
#[path = "parts/service.rs"]
mod service;

use embedded_driver::{Area, Clock, Driver, Ended, Flash, Machine, Radio};
use raft_proto::*;
use service::Service;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What a datagram may hold.
const DATAGRAM: u64 = 1200;

/// The air between the devices, and the time.
#[derive(Default)]
struct Ether {
    now: Time,
    /// On their way: when each arrives, in which order they were sent, and at whom.
    datagrams: BTreeMap<(Time, u64, NodeId), Vec<u8>>,
    sent: u64,
    lost: u64,
    longest: usize,
    random: u64,
}

impl Ether {
    /// A number below `limit`: the same in each run.
    fn draw(&mut self, limit: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) % limit
    }
}

/// What a device's driver holds of the ether: its clock and its radio.
#[derive(Clone)]
struct Antenna(NodeId, Rc<RefCell<Ether>>);

impl Clock for Antenna {
    fn now(&mut self) -> Time {
        self.1.borrow().now
    }
}

impl Radio for Antenna {
    /// One datagram of five is lost, and the others overtake each other.
    fn send(&mut self, to: NodeId, datagram: &[u8]) {
        let mut ether = self.1.borrow_mut();
        ether.sent += 1;
        ether.longest = ether.longest.max(datagram.len());
        if ether.draw(5) == 0 || datagram.len() as u64 > DATAGRAM {
            ether.lost += 1;
            return;
        }
        let delay = Duration::from_micros(1_000 + ether.draw(4_000));
        let key = (ether.now.after(delay), ether.sent, to);
        ether.datagrams.insert(key, datagram.to_vec());
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut ether = self.1.borrow_mut();
        let arrived = ether.datagrams.keys().take_while(|it| it.0 <= ether.now);
        let key = arrived.copied().find(|it| it.2 == self.0)?;
        ether.datagrams.remove(&key)
    }
}

/// Flash memory in RAM. It stays when its device loses power.
#[derive(Default)]
struct Chip {
    areas: [Vec<u8>; 2],
    synced: [usize; 2],
    /// The power fails at that sync from now on.
    fails_in: Option<u64>,
}

#[derive(Debug)]
struct PowerFailure;

#[derive(Clone, Default)]
struct RamFlash(Rc<RefCell<Chip>>);

impl Flash for RamFlash {
    type Error = PowerFailure;
    const CAPACITY: usize = 4096;

    fn read(&mut self, area: Area) -> Result<Vec<u8>, PowerFailure> {
        Ok(self.0.borrow().areas[area as usize].clone())
    }

    fn erase(&mut self, area: Area) -> Result<(), PowerFailure> {
        let mut chip = self.0.borrow_mut();
        chip.areas[area as usize].clear();
        chip.synced[area as usize] = 0;
        Ok(())
    }

    fn append(&mut self, area: Area, bytes: &[u8]) -> Result<(), PowerFailure> {
        self.0.borrow_mut().areas[area as usize].extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), PowerFailure> {
        let mut chip = self.0.borrow_mut();
        let Chip {
            areas,
            synced,
            fails_in,
        } = &mut *chip;
        let fails = fails_in.take_if(|left| *left == 0).is_some();
        *fails_in = fails_in.map(|left| left - 1);
        for (area, synced) in areas.iter_mut().zip(synced) {
            if fails {
                // Half of what was not synced is there, and nothing tells which half.
                area.truncate(*synced + (area.len() - *synced) / 2);
            }
            *synced = area.len();
        }
        if fails { Err(PowerFailure) } else { Ok(()) }
    }
}

impl Machine for Service {
    fn apply(&mut self, entries: &Entries) {
        Service::apply(self, entries);
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = self.serial.to_le_bytes().to_vec();
        bytes.extend_from_slice(self.words.join(" ").as_bytes());
        bytes
    }

    fn restore(&mut self, snapshot: &[u8]) {
        let (serial, words) = snapshot.split_first_chunk().unwrap_or((&[0; 8], &[]));
        self.serial = u64::from_le_bytes(*serial);
        let words = String::from_utf8_lossy(words);
        self.words = words.split_whitespace().map(String::from).collect();
    }
}

type Device = Driver<Antenna, Antenna, RamFlash, Service>;

const IDS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// The devices: those that have power, and everybody's flash memory.
struct Field {
    ether: Rc<RefCell<Ether>>,
    chips: BTreeMap<NodeId, RamFlash>,
    devices: BTreeMap<NodeId, Device>,
    /// Up to where each device had said that its log is durable, when it lost its power.
    promised: BTreeMap<NodeId, Index>,
}

impl Field {
    fn start(&mut self, id: NodeId, seed: u64) -> Result<(), String> {
        let mut config = Config::new(ClusterId(7), id, Start::voters(IDS), seed);
        Device::fit_datagrams(&mut config, DATAGRAM);
        let antenna = Antenna(id, self.ether.clone());
        let flash = self.chips.entry(id).or_default().clone();
        let device = Device::start(config, antenna.clone(), antenna, flash);
        let device = device.map_err(|ended| format!("{id} does not start: {ended}"))?;
        let raft = device.raft();
        println!(
            "{id} starts: its log begins after {} and ends at {}",
            raft.log_base(),
            raft.last_log()
        );
        if Some(&raft.last_log().index) < self.promised.get(&id) {
            return Err(format!("{id} has lost what it had reported as durable"));
        }
        self.devices.insert(id, device);
        Ok(())
    }

    /// Lets time pass until `found` finds something. A device that has ended loses its power.
    fn run<T>(&mut self, mut found: impl FnMut(&mut Field) -> Option<T>) -> Result<T, String> {
        let end = self.ether.borrow().now.after(Duration::from_secs(60));
        loop {
            let mut wake_at = end;
            let mut ended = None;
            for (id, device) in &mut self.devices {
                match device.poll() {
                    Ok(time) => wake_at = wake_at.min(time),
                    Err(Ended::Flash(PowerFailure)) => ended = Some(*id),
                    Err(other) => return Err(format!("{id} has ended: {other}")),
                }
            }
            if let Some(id) = ended {
                let lost = self.devices.remove(&id);
                self.promised
                    .extend(lost.map(|device| (id, device.raft().durable_index())));
                println!("{id} loses its power in the middle of a write");
            }
            if let Some(found) = found(self) {
                return Ok(found);
            }
            let mut ether = self.ether.borrow_mut();
            if ether.now >= end {
                return Err("nothing has happened for a minute".to_string());
            }
            // Datagrams for a device without power get lost.
            let devices = &self.devices;
            ether
                .datagrams
                .retain(|key, _| devices.contains_key(&key.2));
            let next = ether.datagrams.keys().next().map(|key| key.0);
            ether.now = next.unwrap_or(wake_at).min(wake_at).max(ether.now);
        }
    }

    fn leader(&self) -> Option<NodeId> {
        let leads = |it: &(&NodeId, &Device)| it.1.raft().role() == RoleKind::Leader;
        let newest = self
            .devices
            .iter()
            .filter(leads)
            .max_by_key(|it| it.1.raft().term());
        newest.map(|(id, _)| *id)
    }

    /// A client: gives a command to the leader, again after a while, until it is applied there.
    fn submit(&mut self, serial: u64) -> Result<(), String> {
        let mut again_at = Time::ZERO;
        self.run(|field| {
            let now = field.ether.borrow().now;
            let leader = field.leader()?;
            let device = field.devices.get_mut(&leader)?;
            if device.machine.serial >= serial {
                return Some(());
            }
            if now >= again_at {
                again_at = now.after(Duration::from_secs(1));
                device.propose(service::command(serial, &format!("word{serial}")));
            }
            None
        })
    }
}

fn story() -> Result<(), String> {
    let (ether, chips, devices, promised) = Default::default();
    let mut field = Field {
        ether,
        chips,
        devices,
        promised,
    };
    for id in IDS {
        field.start(id, id.0)?;
    }
    let leader = field.run(|field| field.leader())?;
    println!("{leader} leads");
    for serial in 1..=20 {
        field.submit(serial)?;
    }
    println!("20 commands are committed");

    let chip = field
        .chips
        .get(&leader)
        .ok_or("the leader has flash memory")?;
    chip.0.borrow_mut().fails_in = Some(2);
    for serial in 21..=100 {
        field.submit(serial)?;
    }
    let next = field.run(|field| field.leader())?;
    println!("{next} leads, and 80 more commands are committed by two nodes");

    field.start(leader, 100 + leader.0)?;
    let base = |id| {
        field
            .devices
            .get(&id)
            .map(|it| (it.raft().log_base(), it.raft().last_log()))
    };
    if let (Some((base, _)), Some((_, last))) = (base(next), base(leader)) {
        let how = if base.index > last.index {
            "a snapshot"
        } else {
            "entries"
        };
        println!("{next}'s log begins after {base}: {leader} needs {how}");
    }
    field.run(|field| {
        field
            .devices
            .values()
            .all(|it| it.machine.serial == 100)
            .then_some(())
    })?;
    let expected: Vec<String> = (1..=100).map(|serial| format!("word{serial}")).collect();
    for (id, device) in &field.devices {
        if device.machine.words != expected {
            return Err(format!("{id} has applied {:?}", device.machine.words));
        }
    }
    println!("{leader} has caught up: all three have applied the same 100 commands");
    let ether = field.ether.borrow();
    println!(
        "in {} s on the devices' clocks, {} datagrams were sent, of at most {} bytes, and {} were lost",
        ether.now, ether.sent, ether.longest, ether.lost
    );
    Ok(())
}

pub(crate) fn main() -> Result<(), String> {
    story()
}
