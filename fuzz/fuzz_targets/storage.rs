//! See [`raft_fuzz::disk::storage`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_fuzz::disk::storage::run(data));
