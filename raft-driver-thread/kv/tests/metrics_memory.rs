//! Samples take no memory for ever, though nobody asks for them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(unsafe_code)] // Counting what is allocated.

use raft_kv::server::Server;
use raft_kv::settings::{Founder, Identity, Settings};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long the test waits for anything before it fails.
const LIMIT: Duration = Duration::from_secs(60);

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn samples_are_folded_though_nobody_scrapes_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new(folder.path());
    let founders = vec![Founder {
        node: 1,
        peers: "127.0.0.1:1".into(),
    }];
    let identity = Identity {
        cluster: 5,
        node: 1,
        founders,
    };
    let _server = Server::start(settings, identity).unwrap();
    let histogram = metrics::histogram!("raft_sync_duration_seconds", "node" => "n9");
    let before = ALLOCATED.load(Ordering::Relaxed);
    let more = || ALLOCATED.load(Ordering::Relaxed).saturating_sub(before);
    let begun = Instant::now();
    // They may be folded in between, whenever that is due.
    while more() < 10 << 20 {
        assert!(begun.elapsed() < LIMIT, "samples take no memory at first");
        (0..1000).for_each(|_| histogram.record(0.001));
    }
    let begun = Instant::now();
    while more() > 4 << 20 {
        assert!(begun.elapsed() < LIMIT, "never folded: {}", more());
        // The library frees what was folded when further samples come.
        histogram.record(0.001);
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
