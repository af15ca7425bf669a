//! Durations, instants and lists as people write them.

use raft_proto::NodeId;

/// A duration in nanoseconds, with three digits: `412 us`, `38.2 ms`, `1.24 s`.
pub(super) fn span(nanos: u64) -> String {
    let (unit, per_unit) = match nanos {
        0 => return "0".to_owned(),
        1..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => ("us", 1e3),
        1_000_000..1_000_000_000 => ("ms", 1e6),
        1_000_000_000.. => ("s", 1e9),
    };
    let value = nanos as f64 / per_unit;
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// The time between two instants of the common axis.
pub(super) fn between(begin: i64, end: i64) -> String {
    span(end.saturating_sub(begin).max(0).unsigned_abs())
}

/// An instant of the common axis: `12.402317 s`.
pub(super) fn instant(nanos: i64) -> String {
    format!("{:.6} s", nanos as f64 / 1e9)
}

/// `n1`, `n1 and n2`, `n1, n2 and n3`.
pub(super) fn list(nodes: &[NodeId]) -> String {
    let names: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
    match names.as_slice() {
        [] => "nobody".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
