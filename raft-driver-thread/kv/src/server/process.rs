//! What the operating system says of this process, for INFO.

/// What the process has taken; 0 where the system does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProcessFigures {
    /// Memory that is not paged out, in bytes.
    pub(super) resident_bytes: u64,
    /// Processor time, in seconds.
    pub(super) user_seconds: f64,
    /// Processor time within the system, in seconds.
    pub(super) system_seconds: f64,
}

/// Reads them from `/proc`.
#[cfg(target_os = "linux")]
pub(super) fn figures() -> ProcessFigures {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program stands in parentheses, and may hold anything.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // proc(5) counts from 1, and the first field here is the third.
    let field = |number: usize| -> u64 {
        let field = fields.get(number - 3).and_then(|text| text.parse().ok());
        field.unwrap_or(0)
    };
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    ProcessFigures {
        resident_bytes: field(24) * rustix::param::page_size() as u64,
        user_seconds: field(14) as f64 / ticks,
        system_seconds: field(15) as f64 / ticks,
    }
}

/// Where there is no `/proc`.
#[cfg(not(target_os = "linux"))]
pub(super) fn figures() -> ProcessFigures {
    ProcessFigures::default()
}
