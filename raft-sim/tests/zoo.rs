//! The zoo: its patches apply to the current code, and mutants are built once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_sim::sweep::{ChunkResult, FailedSeed, Seeds, Tally};
use raft_sim::zoo::{self, Mutant, ZooError};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn current(file: &str) -> Result<String, ZooError> {
    Ok(fs::read_to_string(root().join(file)).unwrap())
}

#[test]
fn every_mistake_applies_to_the_core_or_the_service_and_changes_it() {
    let mutants = zoo::read(root(), &[]).unwrap();
    assert!(mutants.len() >= 150);
    for mutant in mutants {
        let changed = mutant.apply(current);
        let changed = changed.unwrap_or_else(|error| panic!("{error}"));
        assert!(!changed.is_empty(), "{}", mutant.name);
        for (file, text) in changed {
            let of_core = file.starts_with("raft-proto/src/");
            let of_service =
                file == "raft-sim/src/service.rs" || file.starts_with("raft-sim/src/service/");
            assert!(of_core || of_service, "{}: {file}", mutant.name);
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
        matches!(&error, ZooError::DoesNotApply { mutant, file, .. }
            if mutant == "figure-8" && file == "raft-proto/src/commit.rs"),
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

#[test]
fn no_two_mistakes_are_the_same_and_each_says_what_it_is() {
    let mutants = zoo::read(root(), &[]).unwrap();
    let mut rules: Vec<&str> = mutants.iter().map(|it| it.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(rules.len(), mutants.len());
    for mutant in &mutants {
        assert!(mutant.rule.ends_with('.'), "{}", mutant.name);
        // These become cells of a table.
        let cells = [&mutant.rule, &mutant.breaks, &mutant.source];
        assert!(cells.iter().all(|it| !it.contains('|')), "{}", mutant.name);
    }
}

#[test]
fn the_readmes_table_says_of_each_mistake_what_its_patch_says() {
    let text = current("raft-sim/zoo/README.md").unwrap();
    let rows = text
        .lines()
        .filter(|line| line.contains("raft-sim run --mutant"));
    let rows: Vec<&str> = rows.filter(|line| line.starts_with('|')).collect();
    let mutants = zoo::read(root(), &[]).unwrap();
    assert_eq!(rows.len(), mutants.len());
    for (row, mutant) in rows.iter().zip(&mutants) {
        let Mutant {
            name, rule, source, ..
        } = mutant;
        let begin = format!("| {name} | {rule} | {source} | ");
        assert!(row.starts_with(&begin), "{row} does not begin with {begin}");
    }
}

#[test]
fn the_readme_has_a_place_for_the_table() {
    let text = current("raft-sim/zoo/README.md").unwrap();
    let replaced = zoo::replace_table(&text, "| new |\n").unwrap();
    assert!(replaced.contains("<!-- table -->\n| new |\n<!-- /table -->\n"));
    assert!(!replaced.contains("| figure-8 |"));
    let (before, _) = text.split_once(zoo::BEGIN).unwrap();
    assert!(replaced.starts_with(before));
    assert_eq!(zoo::replace_table("no place", "| new |"), None);
}

#[test]
fn a_mutant_is_given_the_command_line_without_what_names_it() {
    let kept = |line: &str| {
        let arguments = line.split(' ').map(OsString::from);
        let kept = zoo::without_mutant_options(arguments);
        let kept: Vec<&str> = kept.iter().map(|it| it.to_str().unwrap()).collect();
        kept.join(" ")
    };
    assert_eq!(
        kept("run --mutant figure-8 --seed 3 --root /p --trace -"),
        "run --seed 3 --trace -"
    );
    assert_eq!(
        kept("run --mutant=figure-8 --root=. --seed=3"),
        "run --seed=3"
    );
    assert_eq!(
        kept("replay --mutant x -- --root --mutant"),
        "replay -- --root --mutant"
    );
}

fn raft_sim(folder: &Path, arguments: &[&str], cargo: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_raft-sim"))
        .args(arguments)
        .current_dir(folder)
        .env("CARGO", cargo)
        .env_remove(zoo::VARIABLE)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_unknown_mutant_is_refused_with_those_that_there_are() {
    let arguments = ["run", "--mutant", "figure-9"];
    let output = raft_sim(root(), &arguments, Path::new("cargo"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("figure-8"), "{}", stderr(&output));
    let nowhere = tempfile::tempdir().unwrap();
    let output = raft_sim(nowhere.path(), &arguments, Path::new("cargo"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--root"), "{}", stderr(&output));
    let output = raft_sim(root(), &["run", "--root", "."], Path::new("cargo"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--mutant"), "{}", stderr(&output));
}

/// A project with one file and one patch, and a `cargo` that is the script `cargo`.
#[cfg(unix)]
fn small_project(cargo: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file);
    for part in ["raft-proto/src", "raft-sim/src", "raft-sim/zoo", "fuzz"] {
        fs::create_dir_all(path(part)).unwrap();
    }
    fs::create_dir_all(path("raft-driver-thread")).unwrap();
    for file in ["Cargo.toml", "Cargo.lock", "README.md"] {
        fs::write(path(file), "").unwrap();
    }
    for file in ["raft-proto/Cargo.toml", "raft-sim/Cargo.toml"] {
        fs::write(path(file), "").unwrap();
    }
    fs::write(path("raft-proto/src/lib.rs"), "right\n").unwrap();
    let patch = "Rule: wrong.\nBreaks: all\nSource: own\n\n\
        diff --git a/raft-proto/src/lib.rs b/raft-proto/src/lib.rs\n\
        --- a/raft-proto/src/lib.rs\n+++ b/raft-proto/src/lib.rs\n\
        @@ -1 +1 @@\n-right\n+wrong\n";
    fs::write(path("raft-sim/zoo/small.patch"), patch).unwrap();
    let program = path("cargo");
    fs::write(path("script"), format!("#!/bin/sh\n{cargo}")).unwrap();
    // By another process: a program that this one has open to write may be open in one that another
    // test starts just then, and cannot be executed as long as it is.
    let mut install = Command::new("sh");
    install.args(["-c", "cat script > cargo && chmod 755 cargo"]);
    assert!(install.current_dir(&folder).status().unwrap().success());
    (folder, program)
}

#[cfg(unix)]
#[test]
fn a_mutant_is_built_once_and_ends_as_it_likes() {
    // The copy has the mistake while it is built. The program prints its arguments.
    let cargo = "mkdir -p ../build/release\n\
        echo built >> ../../../builds\n\
        word=$(cat raft-proto/src/lib.rs)\n\
        printf '#!/bin/sh\\necho %s $RAFT_SIM_MUTANT \"$@\"\\nexit 3\\n' $word > ../build/release/raft-sim\n\
        chmod +x ../build/release/raft-sim\n";
    let (folder, cargo) = small_project(cargo);
    let file = |name: &str| folder.path().join(name);
    let run = || {
        let arguments = ["run", "--seed", "7", "--mutant", "small", "--json"];
        raft_sim(folder.path(), &arguments, &cargo)
    };
    let first = run();
    assert_eq!(
        String::from_utf8_lossy(&first.stdout),
        "wrong small run --seed 7 --json\n",
        "{}",
        stderr(&first)
    );
    assert_eq!(first.status.code(), Some(3));
    assert_eq!(stderr(&first), "building raft-sim with small ...\n");
    let again = run();
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(stderr(&again), "");
    assert_eq!(fs::read_to_string(file("builds")).unwrap(), "built\n");
    let copy = file("target/zoo/project/raft-proto/src/lib.rs");
    assert_eq!(fs::read_to_string(copy).unwrap(), "right\n");
    // Other sources make another program, which replaces the old one.
    fs::write(file("raft-sim/src/new.rs"), "").unwrap();
    assert_eq!(run().status.code(), Some(3));
    assert_eq!(
        fs::read_to_string(file("builds")).unwrap(),
        "built\nbuilt\n"
    );
    assert_eq!(fs::read_dir(file("target/zoo/bin")).unwrap().count(), 1);
    // A file that is gone is removed from the copy.
    fs::remove_file(file("raft-sim/src/new.rs")).unwrap();
    assert_eq!(run().status.code(), Some(3));
    assert!(!file("target/zoo/project/raft-sim/src/new.rs").exists());
}

#[cfg(unix)]
#[test]
fn a_mistake_that_is_caught_becomes_a_row_of_the_table_with_the_command_that_repeats_it() {
    let result = ChunkResult {
        seeds: Seeds(0..64),
        settings: "--nodes 5".into(),
        tally: Tally {
            seeds: 8,
            failed: 1,
            cpu_micros: 250_000,
            ..Tally::default()
        },
        failures: vec![FailedSeed {
            seed: 7,
            failure: "Election Safety (section 5.2) is violated".into(),
            kind: "Election Safety (section 5.2)".into(),
            repeat: "raft-sim run --seed 7 --nodes 5".into(),
        }],
    };
    // The mutant prints this, whatever it is asked to run.
    let cargo = "mkdir -p ../build/release\n\
        printf '#!/bin/sh\\ncat %s/result\\n' $PWD/../../.. > ../build/release/raft-sim\n\
        chmod +x ../build/release/raft-sim\n";
    let (folder, cargo) = small_project(cargo);
    let line = serde_json::to_string(&result).unwrap();
    fs::write(folder.path().join("result"), line + "\n").unwrap();
    let output = raft_sim(folder.path(), &["zoo", "--jobs", "1"], &cargo);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    let row = "| small | wrong. | own | Election Safety (section 5.2) | 8 | 0.2 | \
        `raft-sim run --mutant small --seed 7 --nodes 5` |\n";
    assert!(said.contains(row), "{said}");
    let summary = "1 of 1 were caught, in 0.2 CPU seconds in the median; small took longest, 0.2.";
    assert!(said.contains(summary), "{said}");
}

#[cfg(unix)]
#[test]
fn a_mutant_that_does_not_build_is_refused_with_the_first_error() {
    let cargo = "printf 'warning: odd\\n\\nerror[E1]: no such name\\n --> here\\n\\n' >&2\n\
        printf 'error: aborting\\n' >&2\nexit 101\n";
    let (folder, cargo) = small_project(cargo);
    for arguments in [&["run", "--mutant", "small"][..], &["zoo"][..]] {
        let output = raft_sim(folder.path(), arguments, &cargo);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        let wanted = "error: small does not build: error[E1]: no such name\n --> here\n";
        assert!(said.ends_with(wanted), "{said}");
    }
}
