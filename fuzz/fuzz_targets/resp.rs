//! See [`raft_fuzz::resp`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_fuzz::resp::run(data));
