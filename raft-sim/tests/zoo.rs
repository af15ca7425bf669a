//! The zoo's patches fit the core as it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_sim::zoo::{self, Mutant, ZooError};
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn current(file: &str) -> Result<String, ZooError> {
    Ok(fs::read_to_string(root().join(file)).unwrap())
}

#[test]
fn every_mistake_applies_to_the_core_and_changes_it() {
    let mutants = zoo::read(root(), &[]).unwrap();
    assert!(mutants.len() >= 28);
    for mutant in mutants {
        let changed = mutant.apply(current);
        let changed = changed.unwrap_or_else(|error| panic!("{error}"));
        assert!(!changed.is_empty(), "{}", mutant.name);
        for (file, text) in changed {
            assert!(file.starts_with("raft-proto/src/"), "{}", mutant.name);
            assert_ne!(text, current(&file).unwrap(), "{}", mutant.name);
        }
    }
}

#[test]
fn a_patch_of_code_that_has_changed_is_refused() {
    let named = ["figure-8".to_owned()];
    let mutant = zoo::read(root(), &named).unwrap().remove(0);
    let error = mutant.apply(|_| Ok("other code\n".into())).unwrap_err();
    assert!(
        matches!(&error, ZooError::DoesNotApply(name, file, _)
            if name == "figure-8" && file == "raft-proto/src/commit.rs"),
        "{error}"
    );
}

#[test]
fn what_is_no_mutant_is_explained() {
    let error = Mutant::parse("x", "Rule: none\n").unwrap_err();
    assert_eq!(error.to_string(), "x.patch has no diff");
    let error = Mutant::parse("x", "Rule: none\ndiff --git a b\n").unwrap_err();
    assert_eq!(error.to_string(), "x.patch has no Breaks");
    let error = zoo::read(root(), &["figure-9".into()]).unwrap_err();
    assert!(error.to_string().contains("figure-8"), "{error}");
    let error = zoo::read(Path::new("/"), &[]).unwrap_err();
    assert!(error.to_string().contains("--root"), "{error}");
}
