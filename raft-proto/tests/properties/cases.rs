//! How many cases a property is tried with.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// `few` cases, or as many as `PROPTEST_CASES` says; failures are kept beside the test's file.
pub fn cases(few: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config.cases,
        None => few,
    };
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        max_shrink_iters: 20_000,
        ..config
    }
}
