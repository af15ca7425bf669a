//! The bodies of the fuzz targets, run over the inputs in `fuzz/corpus`. Those inputs were chosen
//! among a fuzzer's, for the many different things that they make a node do.
#![allow(clippy::unwrap_used)]

use std::path::Path;

/// Runs `body` over each input of a target. Returns the number of inputs.
fn run(target: &str, body: fn(&[u8])) -> usize {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut inputs = 0;
    for file in std::fs::read_dir(corpus.join(target)).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().starts_with("seed-") {
            body(&std::fs::read(file.path()).unwrap());
            inputs += 1;
        }
    }
    inputs
}

#[test]
fn no_input_of_the_corpus_breaks_a_promise_of_a_node() {
    assert!(run("step", raft_fuzz::step::run) >= 50);
}

#[test]
fn no_input_of_the_corpus_lets_a_hostile_member_break_what_others_said() {
    assert!(run("hostile", raft_fuzz::hostile::run) >= 20);
}

#[test]
fn no_input_of_the_corpus_breaks_the_decoder() {
    assert!(run("wire", raft_fuzz::wire::run) >= 20);
}

#[test]
fn no_input_of_the_corpus_breaks_the_replay_of_recordings() {
    assert!(run("recording", raft_fuzz::recording::run) >= 20);
}

#[test]
fn no_input_of_the_corpus_breaks_a_start() {
    assert!(run("recover", raft_fuzz::recover::run) >= 20);
}

#[test]
fn no_input_of_the_corpus_breaks_a_checkpoint() {
    assert!(run("checkpoint", raft_fuzz::checkpoint::run) >= 20);
}

#[test]
fn no_input_of_the_corpus_breaks_what_is_fetched() {
    assert!(run("fetch", raft_fuzz::fetch::run) >= 20);
}
