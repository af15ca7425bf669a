//! What clients have asked of this server, as INFO shows it (`commandstats`, `keyspace_hits`,
//! `keyspace_misses`). Every server counts what its own clients ask, also if the leader does it.

use crate::resp::table;
use crate::state::{Command, Lookup, Reply};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts from the start of the server on, for metrics, which never go back, and since the last
/// CONFIG RESETSTAT, for INFO.
#[derive(Debug, Default)]
pub(super) struct Counter {
    total: AtomicU64,
    at_reset: AtomicU64,
}

impl Counter {
    /// Returns the new total.
    pub(super) fn add(&self, number: u64) -> u64 {
        self.total.fetch_add(number, Ordering::Relaxed) + number
    }

    /// The total, if it is counted elsewhere.
    pub(super) fn observe(&self, total: u64) {
        self.total.fetch_max(total, Ordering::Relaxed);
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(super) fn since_reset(&self) -> u64 {
        let before = self.at_reset.load(Ordering::Relaxed);
        self.total().saturating_sub(before)
    }

    pub(super) fn reset(&self) {
        self.at_reset.store(self.total(), Ordering::Relaxed);
    }
}

/// A command over the keys, as far as it is counted.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    name: &'static str,
    lookup: Lookup,
}

impl Asked {
    pub(super) fn new(name: &'static str, command: &Command) -> Asked {
        Asked {
            name,
            lookup: Lookup::of(command),
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Stats {
    /// By name; a subcommand has a name of its own.
    commands: BTreeMap<&'static str, CommandStats>,
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    /// Keys that have expired. The state machine counts them.
    pub(super) expired: Counter,
}

#[derive(Debug, Default)]
struct CommandStats {
    calls: Counter,
    nanos: Counter,
    /// Those of which nothing was done.
    rejected: Counter,
    /// Calls that were answered with an error.
    failed: Counter,
}

/// The codes of errors by which nothing was done, whatever the command.
const REJECTIONS: [&str; 4] = ["CLUSTERDOWN ", "NOAUTH ", "NOPERM ", "OOM "];

impl Stats {
    pub(super) fn new() -> Stats {
        let names = table::all().iter().flat_map(|spec| {
            let subcommands = spec.subcommands.iter();
            std::iter::once(spec.name).chain(subcommands.map(|it| it.full_name))
        });
        Stats {
            commands: names.map(|name| (name, CommandStats::default())).collect(),
            hits: Counter::default(),
            misses: Counter::default(),
            expired: Counter::default(),
        }
    }

    /// A command was answered, after so long.
    pub(super) fn answered(&self, name: &str, reply: &Reply, took: Duration) {
        let Some(command) = self.commands.get(name) else {
            return;
        };
        if let Reply::Error(error) = reply {
            if REJECTIONS.iter().any(|code| error.starts_with(code)) {
                command.rejected.add(1);
                return;
            }
            command.failed.add(1);
        }
        command.calls.add(1);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        command.nanos.add(nanos);
    }

    /// Likewise, for one over the keys.
    pub(super) fn answered_from_keys(&self, asked: Asked, reply: &Reply, took: Duration) {
        self.answered(asked.name, reply, took);
        if asked.lookup != Lookup::Nothing {
            let found = asked.lookup.found(reply);
            self.hits.add(found.hits);
            self.misses.add(found.misses);
        }
    }

    /// A command was refused before it was looked at further.
    pub(super) fn rejected(&self, name: &str) {
        if let Some(command) = self.commands.get(name) {
            command.rejected.add(1);
        }
    }

    /// How often each command was called since the start; those that never were are left out.
    pub(super) fn calls(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let calls = self
            .commands
            .iter()
            .map(|(name, it)| (*name, it.calls.total()));
        calls.filter(|(_, calls)| *calls > 0)
    }

    pub(super) fn reset(&self) {
        for counter in [&self.hits, &self.misses, &self.expired] {
            counter.reset();
        }
        for command in self.commands.values() {
            let CommandStats {
                calls,
                nanos,
                rejected,
                failed,
            } = command;
            for counter in [calls, nanos, rejected, failed] {
                counter.reset();
            }
        }
    }

    /// The section `commandstats` of INFO. `usec` is how long clients waited, for the log and for
    /// other servers too.
    pub(super) fn command_lines(&self) -> String {
        let mut lines = String::new();
        for (name, command) in &self.commands {
            let (calls, failed) = (command.calls.since_reset(), command.failed.since_reset());
            let rejected = command.rejected.since_reset();
            if calls + rejected == 0 {
                continue;
            }
            let micros = command.nanos.since_reset() / 1000;
            let each = micros as f64 / calls.max(1) as f64;
            // Writing to a string does not fail.
            let _ = write!(
                lines,
                "cmdstat_{name}:calls={calls},usec={micros},usec_per_call={each:.2},\
                 rejected_calls={rejected},failed_calls={failed}\r\n"
            );
        }
        lines
    }
}
