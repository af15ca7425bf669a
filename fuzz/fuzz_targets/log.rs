//! See [`raft_fuzz::disk::log`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_fuzz::disk::log::run(data));
