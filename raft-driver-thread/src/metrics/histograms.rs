//! The histograms, and the buckets that fit them.

/// A histogram that a node records, and the buckets that fit it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistogramBuckets {
    /// The name of the metric.
    pub name: &'static str,
    /// The upper bounds of its buckets, rising, in the unit of the metric. Larger values belong to
    /// the bucket without a bound, which every exporter adds.
    pub buckets: &'static [f64],
}

/// All histograms that a node records.
pub const HISTOGRAMS: [HistogramBuckets; 2] = [
    HistogramBuckets {
        name: SYNC_DURATION,
        // From a fast disk's sync to one that lets a leader step down.
        buckets: &[
            0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
            2.5,
        ],
    },
    HistogramBuckets {
        name: SYNC_WRITES,
        buckets: &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0],
    },
];

pub(super) const SYNC_DURATION: &str = "raft_sync_duration_seconds";
pub(super) const SYNC_WRITES: &str = "raft_sync_writes";
