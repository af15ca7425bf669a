//! The workloads, and how they are measured.
use crate::alloc::{self, Allocations};
use crate::cluster::Cluster;
use crate::libs::{self, Make};
use rustix::time::{ClockId, clock_gettime};

/// After this many entries, every node drops from its log what all nodes have applied.
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

/// The timed part of `core`: proposes in rounds of `window`, delivers messages until the leader has
/// applied the round, and ends when every node has applied everything.
#[inline(never)]
fn measured_core(cluster: &mut dyn Cluster, case: &Case) {
    let mut done = 0;
    let mut compacted = 0;
    while done < case.entries {
        let count = (case.window as u64).min(case.entries - done);
        cluster.propose(done, count as usize, case.size);
        cluster.pump();
        done += count;
        while cluster.applied(0) < done {
            cluster.tick();
            cluster.pump();
        }
        if done - compacted >= COMPACT_EVERY {
            cluster.compact();
            compacted = done;
        }
    }
    pump_until_applied(cluster, case.nodes, case.entries);
}

fn pump_until_applied(cluster: &mut dyn Cluster, nodes: usize, entries: u64) {
    while (0..nodes).any(|i| cluster.applied(i) < entries) {
        cluster.tick();
        cluster.pump();
    }
}

/// The timed part of `catchup`: the last node returns; ends when it has applied everything.
#[inline(never)]
fn measured_catchup(cluster: &mut dyn Cluster, case: &Case) {
    cluster.reconnect(case.nodes - 1);
    pump_until_applied(cluster, case.nodes, case.entries);
}

/// The untimed part of `catchup`: entries commit while the last node is disconnected.
fn leave_behind(cluster: &mut dyn Cluster, case: &Case) {
    cluster.disconnect(case.nodes - 1);
    let mut done = 0;
    while done < case.entries {
        let count = (case.window as u64).min(case.entries - done);
        cluster.propose(done, count as usize, case.size);
        cluster.pump();
        done += count;
    }
    pump_until_applied(cluster, case.nodes - 1, case.entries);
    assert_eq!(cluster.applied(case.nodes - 1), 0);
}

#[derive(Clone, Copy)]
enum Mode {
    /// Counts allocations, and takes longer for it.
    Counted,
    Timed,
}

/// The processor time that this thread, the only one, has used.
fn processor_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

struct Run {
    ns: f64,
    allocations: Allocations,
    messages: u64,
}

fn once(case: &Case, make: Make, mode: Mode) -> Run {
    let mut cluster = make(case.nodes);
    let cluster = cluster.as_mut();
    let measured = match case.workload.as_str() {
        "core" => measured_core,
        "catchup" => {
            leave_behind(cluster, case);
            measured_catchup
        }
        workload => panic!("no workload {workload}"),
    };
    let before = cluster.messages();
    if let Mode::Counted = mode {
        alloc::start();
    }
    let start = processor_ns();
    measured(cluster, case);
    let ns = processor_ns() - start;
    let allocations = alloc::stop();
    Run {
        ns,
        allocations,
        messages: cluster.messages() - before,
    }
}

fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}

/// Runs a case in this process and returns its result as a line of JSON.
pub fn run(case: &Case) -> String {
    let library = libs::LIBS.iter().find(|library| library.name == case.lib);
    let library = library.unwrap_or_else(|| panic!("no library {}", case.lib));
    let counted = once(case, library.make, Mode::Counted); // also warms up
    let timed = |_| once(case, library.make, Mode::Timed).ns;
    let mut ns: Vec<f64> = (0..case.reps).map(timed).collect();
    ns.sort_by(f64::total_cmp);
    let entries = case.entries as f64;
    let (min, median, max) = match ns.len() {
        0 => (0.0, 0.0, 0.0),
        count => (ns[0], ns[count / 2], ns[count - 1]),
    };
    format!(
        "{{\"lib\":\"{}\",\"workload\":\"{}\",\"nodes\":{},\"w\":{},\"p\":{},\"n\":{},\"reps\":{},\
         \"entries_per_s\":{:.0},\"ns_per_entry\":{:.1},\"ns_min\":{:.1},\"ns_max\":{:.1},\
         \"allocs_per_entry\":{:.3},\"bytes_per_entry\":{:.1},\"msgs\":{},\"total_ms\":{:.2},\
         \"peak_rss_mb\":{:.1}}}",
        libs::full_name(&case.lib),
        case.workload,
        case.nodes,
        case.window,
        case.size,
        case.entries,
        case.reps,
        entries / median * 1e9,
        median / entries,
        min / entries,
        max / entries,
        counted.allocations.calls as f64 / entries,
        counted.allocations.bytes as f64 / entries,
        counted.messages,
        median / 1e6,
        peak_rss_mb(),
    )
}

/// The cases to run.
#[derive(Clone, Copy)]
pub enum Selection {
    All,
    /// The cases with a target: 3 nodes, payloads of 256 bytes, windows 1 and 64.
    Targets,
}

/// Every case for every one of `libs`. The runs of one case follow each other, so that they meet
/// the same noise and are next to each other in the table.
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
            // The bounds cannot disconnect a node.
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
