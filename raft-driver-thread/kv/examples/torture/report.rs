//! The report: what the nemesis did, and how the operations ended.

use crate::counts::Counts;
use crate::fault::Fault;
use crate::history::{KeyCounts, Tally};
use crate::network::Traffic;
use comfy_table::{CellAlignment, Table, presets};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The contents of the table.
pub(crate) struct Report<'a> {
    pub(crate) counts: &'a Counts,
    pub(crate) tally: &'a Tally,
    pub(crate) traffic: Traffic,
    /// Whether servers have file systems that can be filled.
    pub(crate) can_fill: bool,
    pub(crate) keys: KeyCounts,
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
            Fault::Transfer => format!(
                "{} succeeded, the others were refused",
                counts.transfers_done
            ),
            Fault::FillDisk if !self.can_fill => {
                "not possible here: it needs a mount, as root or in a user namespace".into()
            }
            Fault::FillDisk => format!(
                "{} servers stopped without a crash",
                counts.stopped_when_full
            ),
            Fault::Flaky => format!("{} connections torn in all", self.traffic.torn),
            Fault::Slow => format!("{} MiB passed the proxies", self.traffic.bytes >> 20),
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
        let KeyCounts {
            keys,
            most_operations,
        } = self.keys;
        let repeated = number(&tally.repeated);
        [
            row(
                "operations with a known result",
                ok.to_string(),
                format!("{rate:.0}/s"),
            ),
            row(
                "operations with an unknown result",
                number(&tally.unknown),
                format!("{repeated} more were repeated in a session, until it was known"),
            ),
            row("operations refused", number(&tally.failed), String::new()),
            row(
                "keys",
                keys.to_string(),
                format!("at most {most_operations} operations on one"),
            ),
            row(
                "everything healed, all servers accepted writes",
                counts.recoveries.to_string(),
                format!(
                    "after {:.1} s at most",
                    counts.slowest_recovery.as_secs_f64()
                ),
            ),
            row(
                "longest time without a known result",
                format!("{:.1} s", tally.longest_gap().as_secs_f64()),
                format!("in {:.0} s", self.took.as_secs_f64()),
            ),
        ]
    }
}
