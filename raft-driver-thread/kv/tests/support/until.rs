//! Waiting for what is certain to come, but not at once.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::panic)]

use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `ask` returns something.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if let Some(said) = ask() {
            return said;
        }
        std::thread::yield_now();
    }
    panic!("not in time: {what}");
}

/// Waits until `ask` returns something that is not an error. If that does not come, the last error
/// is said.
pub fn until_ok<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let mut last = String::new();
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        match ask() {
            Ok(said) => return said,
            Err(error) => last = error,
        }
        std::thread::yield_now();
    }
    panic!("not in time: {what}; the last was: {last}");
}
