//! What is measured, and how.
use crate::alloc;
use crate::cluster::Cluster;
use crate::libs::{self, Make};
use rustix::time::{ClockId, clock_gettime};

/// Every node's log is compacted to what all have applied after so many entries.
const COMPACT_EVERY: u64 = 8192;

#[derive(Clone)]
pub struct Case {
    pub lib: String,
    pub workload: String,
    pub nodes: usize,
    pub window: usize,
    pub size: usize,
    pub entries: u64,
    pub reps: usize,
}

/// The timed part of `core`: proposes in rounds of `window`, each pumped until the
/// leader has applied it, and ends when every node has applied everything.
#[inline(never)]
fn measured_core(c: &mut dyn Cluster, k: &Case) {
    let mut done = 0;
    let mut compacted = 0;
    while done < k.entries {
        let count = (k.window as u64).min(k.entries - done);
        c.propose(done, count as usize, k.size);
        c.pump();
        done += count;
        while c.applied(0) < done {
            c.tick();
            c.pump();
        }
        if done - compacted >= COMPACT_EVERY {
            c.compact();
            compacted = done;
        }
    }
    settle(c, k.nodes, k.entries);
}

fn settle(c: &mut dyn Cluster, nodes: usize, entries: u64) {
    while (0..nodes).any(|i| c.applied(i) < entries) {
        c.tick();
        c.pump();
    }
}

/// The timed part of `catchup`: the last node returns; ends when it has applied everything.
#[inline(never)]
fn measured_catchup(c: &mut dyn Cluster, k: &Case) {
    c.isolate(k.nodes - 1, false);
    settle(c, k.nodes, k.entries);
}

/// The part of `catchup` before: entries commit while the last node is cut off.
fn leave_behind(c: &mut dyn Cluster, k: &Case) {
    c.isolate(k.nodes - 1, true);
    let mut done = 0;
    while done < k.entries {
        let n = (k.window as u64).min(k.entries - done);
        c.propose(done, n as usize, k.size);
        c.pump();
        done += n;
    }
    settle(c, k.nodes - 1, k.entries);
    assert_eq!(c.applied(k.nodes - 1), 0);
}

#[derive(Clone, Copy)]
enum Mode {
    /// Counts allocations, and takes longer for it.
    Counted,
    Timed,
}

/// The processor time that this thread, the only one, has used.
fn processor_ns() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}

struct Run {
    ns: f64,
    allocations: u64,
    allocated: u64,
    messages: u64,
}

fn once(k: &Case, make: Make, mode: Mode) -> Run {
    let mut c = make(k.nodes);
    let c = c.as_mut();
    let measured = match k.workload.as_str() {
        "core" => measured_core,
        "catchup" => {
            leave_behind(c, k);
            measured_catchup
        }
        w => panic!("no workload {w}"),
    };
    let before = c.messages();
    if let Mode::Counted = mode {
        alloc::start();
    }
    let start = processor_ns();
    measured(c, k);
    let ns = processor_ns() - start;
    let (allocations, allocated) = alloc::stop();
    Run {
        ns,
        allocations,
        allocated,
        messages: c.messages() - before,
    }
}

fn peak_rss_mb() -> f64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    s.lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}

/// Runs a case in this process and returns its result as a line of JSON.
pub fn run(k: &Case) -> String {
    let make = libs::LIBS
        .iter()
        .find(|l| l.0 == k.lib)
        .unwrap_or_else(|| panic!("no library {}", k.lib))
        .1;
    let counted = once(k, make, Mode::Counted); // also warms up
    let mut ns: Vec<f64> = (0..k.reps).map(|_| once(k, make, Mode::Timed).ns).collect();
    ns.sort_by(f64::total_cmp);
    let n = k.entries as f64;
    let (min, med, max) = match ns.len() {
        0 => (0.0, 0.0, 0.0),
        l => (ns[0], ns[l / 2], ns[l - 1]),
    };
    format!(
        "{{\"lib\":\"{}\",\"workload\":\"{}\",\"nodes\":{},\"w\":{},\"p\":{},\"n\":{},\"reps\":{},\
         \"entries_per_s\":{:.0},\"ns_per_entry\":{:.1},\"ns_min\":{:.1},\"ns_max\":{:.1},\
         \"allocs_per_entry\":{:.3},\"bytes_per_entry\":{:.1},\"msgs\":{},\"total_ms\":{:.2},\
         \"peak_rss_mb\":{:.1}}}",
        libs::full_name(&k.lib),
        k.workload,
        k.nodes,
        k.window,
        k.size,
        k.entries,
        k.reps,
        n / med * 1e9,
        med / n,
        min / n,
        max / n,
        counted.allocations as f64 / n,
        counted.allocated as f64 / n,
        counted.messages,
        med / 1e6,
        peak_rss_mb(),
    )
}

/// Which of the cases to run.
#[derive(Clone, Copy)]
pub enum Selection {
    All,
    /// The ones that this core is held to: 3 nodes, payloads of 256 bytes, windows 1 and 64.
    Targets,
}

/// Every case for every one of `libs`, the libraries' runs of one case next to each other: so
/// that they meet the same noise, and stand next to each other in the table.
pub fn cases(libs: &[&str], selection: Selection, reps: usize) -> Vec<Case> {
    let mut shapes = Vec::new();
    for size in [16, 256, 4096] {
        for window in [1, 64, 1024] {
            let few = size == 4096 || window == 1;
            let entries = if few { 32_768 } else { 131_072 };
            shapes.push(("core", 3, window, size, entries));
        }
    }
    shapes.push(("core", 5, 64, 256, 131_072));
    shapes.push(("catchup", 3, 64, 256, 100_000));
    if let Selection::Targets = selection {
        shapes.retain(|&(workload, nodes, window, size, _)| {
            (workload, nodes, size) == ("core", 3, 256) && window <= 64
        });
    }
    let mut all = Vec::new();
    for (workload, nodes, window, size, entries) in shapes {
        for &lib in libs {
            // The bounds know no node that is cut off.
            if libs::is_bound(lib) && workload != "core" {
                continue;
            }
            all.push(Case {
                lib: lib.into(),
                workload: workload.into(),
                nodes,
                window,
                size,
                entries,
                reps,
            });
        }
    }
    all
}
