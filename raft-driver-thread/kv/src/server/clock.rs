//! The time that a leader stamps entries with: the state's time, which [runs on](StateClock) by the
//! clock that counts from boot.
//!
//! The wall clock is asked twice in the life of a cluster. At its birth it says what time it is;
//! afterwards nobody has to agree with it. And when all servers were down, the first leader has
//! heard of no other since its start. It goes on from the time that it saved, and adds how long it
//! was down: by the boot clock if the machine was not booted in between, else by the wall clock.
//! A step that is not credible is not made: then keys live longer than they should, which harms
//! less than if they are gone.

use crate::state::StateClock;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The file in the data directory in which a server saves its time.
const FILE: &str = "clock.toml";

/// No cluster is down for longer. Where the wall clock says so, it was set.
const MAX_STEP: u64 = 30 * 24 * 60 * 60 * 1000;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Clock {
    state: StateClock,
    file: PathBuf,
    /// What was saved before the start; `None` once another leader was heard of, which knows
    /// better.
    saved: Mutex<Option<Saved>>,
    has_begun: AtomicBool,
    /// The state's time at the start if all servers were down before it, as well as this one knows.
    guess: Option<Guess>,
}

/// A time of the state, and when the boot clock showed it.
#[derive(Clone, Copy, Debug)]
struct Guess {
    state: u64,
    boot: u64,
}

/// How long after a start it matters whether all servers were down before it.
const AFTER_START: u64 = 10_000;

/// The state's time, and what other clocks showed then. Milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    state: u64,
    wall: u64,
    boot: u64,
    /// Tells the boots of a machine apart.
    boot_id: String,
}

/// Milliseconds since 1970.
pub(super) fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, whole_millis)
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since boot, sleep included.
#[cfg(target_os = "linux")]
fn boot_millis() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // The kernel's time since boot is not negative, and its nanoseconds are below 10^9.
    whole_millis(Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec as u32,
    ))
}

/// Milliseconds since this process asked first.
#[cfg(not(target_os = "linux"))]
fn boot_millis() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    whole_millis(START.get_or_init(std::time::Instant::now).elapsed())
}

/// Another text for each boot; empty where the system does not tell.
fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}

impl Clock {
    /// The clock of the server with this data directory.
    pub(super) fn new(data: &std::path::Path) -> Clock {
        let file = data.join(FILE);
        let saved = std::fs::read_to_string(&file).ok();
        let saved: Option<Saved> = saved.and_then(|text| toml::from_str(&text).ok());
        let boot = boot_millis();
        let since = (saved.as_ref()).and_then(|saved| saved.time_since(millis(), boot));
        let state = since.map(|since| since.time);
        Clock {
            state: StateClock::new(),
            file,
            saved: Mutex::new(saved),
            has_begun: AtomicBool::new(false),
            guess: state.map(|state| Guess { state, boot }),
        }
    }

    fn saved(&self) -> MutexGuard<'_, Option<Saved>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what was saved has been used, or is of no use any more.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// The state's time now; `None` before [`begin`](Clock::begin) or the first observation.
    pub(super) fn now(&self) -> Option<u64> {
        self.state.at(boot_millis())
    }

    /// The state's time now, or later: shortly after a start, the time that it has if no server
    /// ran before. A key that has expired by then may have to be removed first.
    pub(super) fn latest(&self) -> Option<u64> {
        let boot = boot_millis();
        let guess = self
            .guess
            .filter(|guess| boot.saturating_sub(guess.boot) < AFTER_START);
        let guess = guess.map(|guess| guess.state.saturating_add(boot.saturating_sub(guess.boot)));
        self.state.at(boot).max(guess)
    }

    /// The state's time was `state` a moment ago. 0 is the time of a state without any entry.
    pub(super) fn observe(&self, state: u64) {
        if state > 0 {
            self.state.observe(state, boot_millis());
        }
    }

    /// Another server leads: the time that it knows is in its entries.
    pub(super) fn other_leader(&self) {
        *self.saved() = None;
        self.has_begun.store(true, Ordering::Release);
    }

    /// This server leads, and its state, which was at `state`, holds all committed entries.
    pub(super) fn begin(&self, state: u64) {
        let mut saved = self.saved();
        if self.has_begun() && self.now().is_some() {
            return; // Another task was faster.
        }
        self.observe(state);
        let (wall, saved) = (millis(), saved.take());
        self.has_begun.store(true, Ordering::Release);
        if state == 0 {
            tracing::info!(
                wall,
                "the cluster's time begins with this server's wall clock"
            );
            return self.state.observe(wall.max(1), boot_millis());
        }
        let Some(since) = saved.and_then(|saved| saved.time_since(wall, boot_millis())) else {
            return;
        };
        if since.time > state {
            let step = since.time - state;
            tracing::info!(
                step,
                clock = since.clock,
                "the time while no server ran has passed"
            );
            self.observe(since.time);
        }
    }

    /// Saves the time for the next start. If that fails, keys live longer after it.
    pub(super) fn save(&self) {
        let Some(state) = self.now() else {
            return;
        };
        let saved = Saved {
            state,
            wall: millis(),
            boot: boot_millis(),
            boot_id: boot_id(),
        };
        let written = toml::to_string(&saved).map_err(std::io::Error::other);
        let written = written.and_then(|text| {
            let new = self.file.with_extension("new");
            std::fs::write(&new, text)?;
            std::fs::rename(&new, &self.file)
        });
        if let Err(error) = written {
            tracing::debug!(%error, "the time was not saved");
        }
    }
}

/// The state's time after a start, and the clock that says so.
struct TimeSince {
    time: u64,
    clock: &'static str,
}

impl Saved {
    /// The state's time when the wall clock shows `wall`, and the boot clock `boot`. `None` if no
    /// clock is credible.
    fn time_since(&self, wall: u64, boot: u64) -> Option<TimeSince> {
        let is_same_boot = !self.boot_id.is_empty() && self.boot_id == boot_id();
        let (clock, passed) = if is_same_boot {
            ("boot", boot.checked_sub(self.boot))
        } else {
            ("wall", wall.checked_sub(self.wall))
        };
        let passed = passed.filter(|passed| *passed <= MAX_STEP);
        if passed.is_none() {
            let (saved, max_step) = (self.wall, MAX_STEP);
            tracing::warn!(
                clock,
                saved,
                wall,
                max_step,
                "the clock was set while no server ran: the time that passed is not counted, so \
                 keys live longer"
            );
        }
        let time = self.state.saturating_add(passed?);
        Some(TimeSince { time, clock })
    }
}
