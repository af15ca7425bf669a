//! Progress on stderr, where that is a terminal; elsewhere nothing is drawn.

use core::time::Duration;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Instant;

/// A bar over many seeds.
pub(super) fn seeds(count: u64) -> ProgressBar {
    let bar = ProgressBar::new(if count > 1 { count } else { 0 });
    if count <= 1 {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    styled(
        bar,
        "{bar:40} {human_pos}/{human_len} seeds, {per_sec}, {eta} left {msg}",
    )
}

/// A bar over the mistakes of the zoo.
pub(super) fn mistakes(count: u64) -> ProgressBar {
    let template = "{bar:40} {human_pos}/{human_len} mistakes, {eta} left {msg}";
    styled(ProgressBar::new(count), template)
}

/// A bar over the networks of some servers.
pub(super) fn graphs(count: u64) -> ProgressBar {
    let template = "{bar:40} {human_pos}/{human_len} graphs, {eta} left";
    styled(ProgressBar::new(count), template)
}

/// A spinner over runs, of which nobody knows how many there will be.
pub(super) fn runs() -> ProgressBar {
    let template = "{spinner} {elapsed} {human_pos} runs, {wide_msg}";
    styled(ProgressBar::new_spinner(), template)
}

/// A spinner over states, of which nobody knows how many there will be.
pub(super) fn states() -> ProgressBar {
    let template = "{spinner} {elapsed} {human_pos} states, {wide_msg}";
    styled(ProgressBar::new_spinner(), template)
}

/// A bar over the virtual time of one run. It appears when the run takes longer than a blink.
pub(super) struct VirtualTime {
    bar: ProgressBar,
    began: Instant,
}

impl VirtualTime {
    const BLINK: Duration = Duration::from_millis(500);

    /// For a run of `time`.
    pub(super) fn new(time: Duration) -> VirtualTime {
        let bar = ProgressBar::new(time.as_secs());
        VirtualTime {
            bar: styled(
                bar,
                "{bar:40} {human_pos}/{human_len} s of virtual time, {eta} left",
            ),
            began: Instant::now(),
        }
    }

    /// Nothing is drawn.
    pub(super) fn hide(&self) {
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// The run has come to `seconds` of its time.
    pub(super) fn set(&self, seconds: u64) {
        if self.began.elapsed() >= VirtualTime::BLINK {
            self.bar.set_position(seconds);
        }
    }

    /// The run is over.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
