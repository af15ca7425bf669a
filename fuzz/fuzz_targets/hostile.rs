//! See [`raft_fuzz::hostile`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_fuzz::hostile::run(data));
