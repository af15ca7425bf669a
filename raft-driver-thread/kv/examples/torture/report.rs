//! What was done, and what became of it.

use crate::faults::Fault;
use crate::history::Tally;
use comfy_table::{CellAlignment, Table, presets};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    faults: BTreeMap<Fault, u64>,
    /// Processes that were killed, one by one and all at once.
    pub(crate) kills: u64,
    pub(crate) transfers_done: u64,
    pub(crate) stopped_when_full: u64,
    recoveries: u64,
    slowest_recovery: Duration,
}

impl Counts {
    pub(crate) fn did(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// All was healed, and after that time each server took writes.
    pub(crate) fn recovered(&mut self, after: Duration) {
        self.recoveries += 1;
        self.slowest_recovery = self.slowest_recovery.max(after);
    }

    fn of(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }
}

/// All that the table says.
pub(crate) struct Report<'a> {
    pub(crate) counts: &'a Counts,
    pub(crate) tally: &'a Tally,
    pub(crate) passed_and_torn: (u64, u64),
    /// Whether servers have file systems that can be filled.
    pub(crate) can_fill: bool,
    /// Keys, and the most operations on one of them.
    pub(crate) keys: (usize, usize),
    pub(crate) took: Duration,
}

impl Report<'_> {
    pub(crate) fn print(&self) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["what", "how often", ""]);
        for (fault, _) in Fault::ALL {
            let count = self.counts.of(fault).to_string();
            table.add_row([fault.describe(), &count, &self.note(fault)]);
        }
        for [what, count, note] in self.outcomes() {
            table.add_row([what, count, note]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{table}");
    }

    fn note(&self, fault: Fault) -> String {
        let counts = self.counts;
        match fault {
            Fault::KillAll => format!("{} processes killed in all", counts.kills),
            Fault::Transfer => format!("{} as asked, the others refused", counts.transfers_done),
            Fault::FillDisk if !self.can_fill => {
                "not possible here: it takes a mount, as root or in a user namespace".into()
            }
            Fault::FillDisk => format!("{} servers stopped in order", counts.stopped_when_full),
            Fault::Flaky => format!("{} connections torn in all", self.passed_and_torn.1),
            Fault::Slow => format!("{} MB passed the proxies", self.passed_and_torn.0 >> 20),
            Fault::Kill
            | Fault::Pause
            | Fault::Cut
            | Fault::CutOneWay
            | Fault::Isolate
            | Fault::Hold
            | Fault::CutClients
            | Fault::Join
            | Fault::Leave
            | Fault::Snapshot => String::new(),
        }
    }

    fn outcomes(&self) -> [[String; 3]; 6] {
        let (tally, counts) = (self.tally, self.counts);
        let row = |what: &str, count: String, note: String| [what.into(), count, note];
        let ok = tally.ok.load(Ordering::Relaxed);
        let number = |it: &std::sync::atomic::AtomicU64| it.load(Ordering::Relaxed).to_string();
        let rate = ok as f64 / self.took.as_secs_f64();
        let (keys, most) = self.keys;
        let repeated = number(&tally.repeated);
        [
            row(
                "operations answered",
                ok.to_string(),
                format!("{rate:.0}/s"),
            ),
            row(
                "operations of unknown outcome",
                number(&tally.unknown),
                format!("{repeated} more had one after they were repeated in a session"),
            ),
            row("operations refused", number(&tally.failed), String::new()),
            row(
                "keys",
                keys.to_string(),
                format!("at most {most} operations on one"),
            ),
            row(
                "all healed, all servers took writes",
                counts.recoveries.to_string(),
                format!(
                    "after {:.1} s at most",
                    counts.slowest_recovery.as_secs_f64()
                ),
            ),
            row(
                "longest time without a success",
                format!("{:.1} s", tally.longest_gap().as_secs_f64()),
                format!("in {:.0} s", self.took.as_secs_f64()),
            ),
        ]
    }
}
