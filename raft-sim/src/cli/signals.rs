//! Commands that Ctrl-C or SIGTERM ends early, with what they have found so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that Ctrl-C or SIGTERM sets. The second signal ends the process.
pub(super) fn interrupted_by_signals() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    // If there can be no handler, signals end the process, as they do by default.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(3);
        }
    });
    interrupted
}
