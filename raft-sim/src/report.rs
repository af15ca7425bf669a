//! The outcome of a run, as text and as JSON.

use crate::availability::{Condition, Figures};
use crate::clients::ClientCounts;
use crate::coverage::Coverage;
use crate::failure::Failure;
use crate::features::FeatureCounts;
use crate::recorder::Counts;
use crate::request::Request;
use crate::world::World;
use core::fmt;
use core::time::Duration;
use raft_proto::MessageKind;
use serde::Serialize;
use std::io;

/// Where a run comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was drawn from a seed.
    Drawn(Request),
    /// It was written down in a schedule.
    Schedule {
        /// How many servers the cluster begins with.
        nodes: u32,
        /// The seed that all else is drawn from.
        seed: u64,
        /// How many faults and operations the schedule has.
        operations: usize,
    },
}

impl Origin {
    /// The seed that everything, or all else, is drawn from.
    pub fn seed(&self) -> u64 {
        match self {
            Origin::Drawn(request) => request.seed,
            Origin::Schedule { seed, .. } => *seed,
        }
    }

    /// The command that repeats the run. A schedule has none: it is a file.
    pub fn command(&self) -> Option<String> {
        match self {
            Origin::Drawn(request) => Some(request.command()),
            Origin::Schedule { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Drawn(request) => write!(
                f,
                "seed {}: {} nodes, {}",
                request.seed,
                request.nodes,
                request.faults.in_words()
            ),
            Origin::Schedule {
                nodes, operations, ..
            } => write!(
                f,
                "schedule: {nodes} nodes, {operations} faults and operations"
            ),
        }
    }
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Report {
    /// Where the run comes from.
    pub origin: Origin,
    /// The failure, if there was one.
    pub failure: Option<Failure>,
    /// The last lines of the trace before the failure.
    pub last_lines: Vec<String>,
    /// How often things happened.
    pub counts: Counts,
    /// The coverage marks that the run hit.
    pub coverage: Coverage,
    /// How often each feature was used.
    pub features: FeatureCounts,
    /// What happened to clients.
    pub clients: ClientCounts,
    /// What stayed in a phase after the faults.
    pub condition: Condition,
    /// What the run cost, and for how long it was not available.
    pub availability: Figures,
    /// Entries committed, the leaders' own included.
    pub committed: u64,
    /// Virtual time, in seconds, with the recovery at the end.
    pub virtual_seconds: f64,
    /// CPU time of the run on this machine; zero in a browser, which does not tell it.
    pub elapsed: Duration,
    /// The length of the trace in lines.
    pub trace_lines: u64,
    /// The first digits of the SHA-256 of the trace: equal for equal runs.
    pub digest: String,
    /// The error with which writing the trace failed, if it did.
    pub trace_written: io::Result<()>,
}

impl Report {
    /// The report of a run that `world` has ended.
    pub fn new(
        world: &mut World,
        origin: Origin,
        result: Result<(), Failure>,
        last_lines: Vec<String>,
        elapsed: Duration,
    ) -> Report {
        let (now, clients) = (world.now(), world.clients().counts);
        let mut features = world.operator().counts;
        // Processes read entries themselves, so only the recorder sees that.
        features.entries_read = world.recorder().counts.entries_read;
        let committed = world.judge().commit_index().0;
        let condition = world.settings().condition;
        let recorder = world.recorder_mut();
        let (digest, trace_written) = recorder.trace.finish();
        Report {
            origin,
            failure: result.err(),
            last_lines,
            counts: recorder.counts.clone(),
            coverage: recorder.coverage.clone(),
            features,
            clients,
            condition,
            availability: recorder.availability.figures,
            committed,
            virtual_seconds: Duration::from_nanos(now.0).as_secs_f64(),
            elapsed,
            trace_lines: recorder.trace.lines(),
            digest,
            trace_written,
        }
    }

    /// Whether the run did not fail.
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }

    /// Events in a second of CPU time.
    pub fn events_per_second(&self) -> f64 {
        self.counts.events as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The report as one JSON object.
    pub fn json(&self) -> serde_json::Value {
        let counts = &self.counts;
        let messages = MessageKind::ALL
            .iter()
            .zip(counts.traffic)
            .map(|(kind, traffic)| Kind {
                kind: kind.name(),
                messages: traffic.messages,
                bytes: traffic.bytes,
            });
        let json = Json {
            seed: self.origin.seed(),
            run: self.origin.to_string(),
            passed: self.passed(),
            failure: self.failure.as_ref().map(Failure::to_string),
            repeat: self.origin.command(),
            last_lines: &self.last_lines,
            virtual_seconds: self.virtual_seconds,
            events: counts.events,
            elections: counts.elections,
            leaders: counts.leaders,
            entries_committed: self.committed,
            commands_accepted: counts.accepted,
            commands_acknowledged: counts.acknowledged,
            commands_replaced: counts.replaced,
            proposals_refused: counts.refused,
            messages: messages.collect(),
            messages_dropped: counts.dropped,
            messages_duplicated: counts.duplicated,
            messages_corrupted: counts.corrupted,
            syncs: counts.syncs,
            snapshots_made: counts.snapshots,
            snapshots_restored: counts.restores,
            feature_uses: self.features,
            condition: self.condition,
            availability: self.availability,
            operations_begun: self.clients.begun,
            operations_answered: self.clients.answered,
            operations_unknown: self.clients.unknown,
            sessions_opened: self.clients.sessions,
            sessions_evicted: self.clients.evicted,
            crashes: counts.crashes,
            cuts: counts.cuts,
            trace_lines: self.trace_lines,
            digest: &self.digest,
            elapsed_seconds: self.elapsed.as_secs_f64(),
            events_per_second: self.events_per_second(),
        };
        // It holds only numbers and text, so it cannot fail.
        serde_json::to_value(json).unwrap_or_default()
    }
}

/// The fields of [`Report::json`].
#[derive(Serialize)]
struct Json<'a> {
    seed: u64,
    run: String,
    passed: bool,
    failure: Option<String>,
    repeat: Option<String>,
    last_lines: &'a [String],
    virtual_seconds: f64,
    events: u64,
    elections: u64,
    leaders: u64,
    entries_committed: u64,
    commands_accepted: u64,
    commands_acknowledged: u64,
    commands_replaced: u64,
    proposals_refused: u64,
    messages: Vec<Kind>,
    messages_dropped: u64,
    messages_duplicated: u64,
    messages_corrupted: u64,
    syncs: u64,
    snapshots_made: u64,
    snapshots_restored: u64,
    feature_uses: FeatureCounts,
    condition: Condition,
    availability: Figures,
    operations_begun: u64,
    operations_answered: u64,
    operations_unknown: u64,
    sessions_opened: u64,
    sessions_evicted: u64,
    crashes: u64,
    cuts: u64,
    trace_lines: u64,
    digest: &'a str,
    elapsed_seconds: f64,
    events_per_second: f64,
}

#[derive(Serialize)]
struct Kind {
    kind: &'static str,
    messages: u64,
    bytes: u64,
}

/// A number with commas between the thousands.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad_integral(true, "", &text)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, {:.3} s of virtual time",
            self.origin, self.virtual_seconds
        )?;
        for (name, value) in self.happened() {
            writeln!(f, "  {name:<22}{value}")?;
        }
        let n = Grouped;
        for (kind, traffic) in MessageKind::ALL.iter().zip(self.counts.traffic) {
            if traffic.messages == 0 {
                continue;
            }
            let (messages, bytes) = (n(traffic.messages), n(traffic.bytes));
            writeln!(f, "  {:<22}{messages:>12} {bytes:>16} bytes", kind.name())?;
        }
        for (name, uses) in self.features.rows() {
            if uses > 0 {
                writeln!(f, "  {name:<22}{:>12}", n(uses))?;
            }
        }
        for (name, value) in self.availability.rows() {
            writeln!(f, "  {name:<22}{value}")?;
        }
        for (name, value) in self.simulated() {
            writeln!(f, "  {name:<22}{value}")?;
        }
        self.verdict(f)
    }
}

impl Report {
    /// The lines on clients, servers and disks.
    fn happened(&self) -> [(&'static str, String); 9] {
        let (clients, counts, n) = (&self.clients, &self.counts, Grouped);
        let elections = format!("{}, {} won", n(counts.elections), n(counts.leaders));
        let commands = format!(
            "{} accepted, {} acknowledged, {} replaced by another leader's",
            n(counts.accepted),
            n(counts.acknowledged),
            n(counts.replaced)
        );
        let snapshots = format!(
            "{} made, {} restored by a node that was behind",
            n(counts.snapshots),
            n(counts.restores)
        );
        let operations = format!(
            "{} begun, {} answered, {} given up, {} retries",
            n(clients.begun),
            n(clients.answered),
            n(clients.unknown),
            n(clients.retries)
        );
        let sessions = format!(
            "{} opened, {} found closed",
            n(clients.sessions),
            n(clients.evicted)
        );
        [
            ("operations", operations),
            ("sessions", sessions),
            ("elections", elections),
            ("entries committed", n(self.committed).to_string()),
            ("commands", commands),
            ("snapshots", snapshots),
            ("crashes", n(counts.crashes).to_string()),
            ("partitions", n(counts.cuts).to_string()),
            ("disk syncs", n(counts.syncs).to_string()),
        ]
    }

    /// The lines on the network, and on the work that the run took.
    fn simulated(&self) -> [(&'static str, String); 4] {
        let (counts, n) = (&self.counts, Grouped);
        let lost = format!(
            "{} lost, {} repeated, {} damaged",
            n(counts.dropped),
            n(counts.duplicated),
            n(counts.corrupted)
        );
        let trace = format!("{} lines, digest {}", n(self.trace_lines), self.digest);
        let cpu = format!(
            "{:.2} s, {} events/s",
            self.elapsed.as_secs_f64(),
            n(self.events_per_second() as u64)
        );
        [
            ("messages", lost),
            ("events", n(counts.events).to_string()),
            ("trace", trace),
            ("CPU time", cpu),
        ]
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = &self.failure else {
            return writeln!(
                f,
                "passed: every property held after every step, what clients saw is \
                 linearizable, and the cluster recovered in the end"
            );
        };
        writeln!(f, "FAILED at {:.6} s: {failure}", self.virtual_seconds)?;
        if let Some(command) = self.origin.command() {
            writeln!(f, "repeat with: {command} --trace -")?;
        }
        writeln!(f, "the last lines of the trace:")?;
        for line in &self.last_lines {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
