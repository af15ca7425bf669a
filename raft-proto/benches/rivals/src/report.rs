//! Results as a table, and against the targets.
use crate::libs;

const COLUMNS: [(&str, usize); 13] = [
    ("lib", 22),
    ("workload", 8),
    ("nodes", 5),
    ("w", 5),
    ("p", 5),
    ("entries_per_s", 13),
    ("ns_per_entry", 12),
    ("ns_min", 9),
    ("ns_max", 9),
    ("allocs_per_entry", 16),
    ("bytes_per_entry", 15),
    ("msgs", 8),
    ("peak_rss_mb", 11),
];

fn field<'a>(json: &'a str, key: &str) -> &'a str {
    let k = format!("\"{key}\":");
    let r = json.split(&k).nth(1).unwrap_or("");
    let end = r.find([',', '}']).unwrap_or(r.len());
    r[..end].trim_matches('"')
}

fn number(json: &str, key: &str) -> f64 {
    field(json, key).parse().unwrap_or(f64::NAN)
}

fn case(line: &str) -> [&str; 4] {
    ["workload", "nodes", "w", "p"].map(|key| field(line, key))
}

/// Prints lines of JSON as a table, a blank line between cases.
pub fn table(lines: &[String]) {
    println!();
    for (c, w) in COLUMNS {
        print!("{c:>w$} ");
    }
    println!();
    let mut last = None;
    for l in lines {
        if last.is_some_and(|last| last != case(l)) {
            println!();
        }
        last = Some(case(l));
        for (c, w) in COLUMNS {
            print!("{:>w$} ", field(l, c));
        }
        println!();
    }
}

enum Rule {
    /// No more ns per entry than the fastest rival.
    FastestRival,
    /// No more ns per entry than this rival.
    Rival(&'static str),
    /// At most so many allocations per entry.
    Allocations(f64),
}

/// What this core is held to, with payloads of 256 bytes on 3 nodes: a window, and a rule.
const TARGETS: [(&str, Rule); 3] = [
    ("64", Rule::FastestRival),
    ("64", Rule::Allocations(2.5)),
    ("1", Rule::Rival("raft-io")),
];

/// Prints for each target what was measured and whether it is met. True if all are, and all
/// that they ask for was measured.
pub fn targets(lines: &[String]) -> bool {
    println!();
    TARGETS.iter().fold(true, |all, (window, rule)| {
        let of_case: Vec<&String> = lines
            .iter()
            .filter(|line| case(line) == ["core", "3", window, "256"])
            .collect();
        target(&of_case, window, rule) && all
    })
}

fn target(lines: &[&String], window: &str, rule: &Rule) -> bool {
    let own = lines.iter().find(|line| field(line, "lib") == "raft-proto");
    let is_rival = |lib: &str| !libs::is_own(lib) && !libs::is_bound(lib);
    let rival = match rule {
        Rule::FastestRival => lines
            .iter()
            .filter(|line| is_rival(field(line, "lib")))
            .min_by(|a, b| number(a, "ns_per_entry").total_cmp(&number(b, "ns_per_entry"))),
        Rule::Rival(name) => lines.iter().find(|line| field(line, "lib") == *name),
        Rule::Allocations(_) => None,
    };
    let (key, unit, limit) = match (rule, rival) {
        (Rule::Allocations(most), _) => ("allocs_per_entry", "allocations", (*most, "the limit")),
        (Rule::FastestRival | Rule::Rival(_), Some(rival)) => (
            "ns_per_entry",
            "ns",
            (number(rival, "ns_per_entry"), field(rival, "lib")),
        ),
        (Rule::FastestRival | Rule::Rival(_), None) => {
            println!("W={window} P=256: not measured, the rival is missing");
            return false;
        }
    };
    let Some(own) = own.map(|line| number(line, key)) else {
        println!("W={window} P=256: not measured, raft-proto is missing");
        return false;
    };
    let (most, whose) = limit;
    let met = own <= most;
    println!(
        "W={window} P=256: {own:.1} {unit} per entry, at most {most:.1} ({whose}): {}",
        if met { "met" } else { "MISSED" },
    );
    met
}
