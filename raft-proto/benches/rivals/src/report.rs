//! Prints results as a table, and compares them with the targets.
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
    let label = format!("\"{key}\":");
    let rest = json.split(&label).nth(1).unwrap_or("");
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    rest[..end].trim_matches('"')
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
    for (key, width) in COLUMNS {
        print!("{key:>width$} ");
    }
    println!();
    let mut last = None;
    for line in lines {
        if last.is_some_and(|last| last != case(line)) {
            println!();
        }
        last = Some(case(line));
        for (key, width) in COLUMNS {
            print!("{:>width$} ", field(line, key));
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

/// A rule that this core must keep with payloads of 256 bytes on 3 nodes.
struct Target {
    window: &'static str,
    rule: Rule,
}

const TARGETS: [Target; 3] = [
    Target {
        window: "64",
        rule: Rule::FastestRival,
    },
    Target {
        window: "64",
        rule: Rule::Allocations(2.5),
    },
    Target {
        window: "1",
        rule: Rule::Rival("raft-io"),
    },
];

/// Prints the measured value of each target, and whether the target is met. True if all of them
/// were measured and met.
pub fn targets(lines: &[String]) -> bool {
    println!();
    TARGETS.iter().fold(true, |all, target| {
        let of_case: Vec<&String> = lines
            .iter()
            .filter(|line| case(line) == ["core", "3", target.window, "256"])
            .collect();
        report_target(&of_case, target) && all
    })
}

fn report_target(lines: &[&String], target: &Target) -> bool {
    let Target { window, rule } = target;
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
    let (key, unit, most, whose) = match (rule, rival) {
        (Rule::Allocations(most), _) => ("allocs_per_entry", "allocations", *most, "the limit"),
        (Rule::FastestRival | Rule::Rival(_), Some(rival)) => (
            "ns_per_entry",
            "ns",
            number(rival, "ns_per_entry"),
            field(rival, "lib"),
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
    let met = own <= most;
    println!(
        "W={window} P=256: {own:.1} {unit} per entry, at most {most:.1} ({whose}): {}",
        if met { "met" } else { "MISSED" },
    );
    met
}
