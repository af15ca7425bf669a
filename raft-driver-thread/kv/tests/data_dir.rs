//! A data directory belongs to one server, and to one process at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::data_dir::{DataDir, DataDirError, disk_bytes};
use raft_kv::settings::{Founder, Identity};
use std::fs;

fn identity() -> Identity {
    let founder = |node| Founder {
        node,
        peers: format!("10.0.0.{node}:7001"),
    };
    Identity {
        cluster: 9_000_000_000_000_000_000,
        node: 2,
        founders: (1..=3).map(founder).collect(),
    }
}

#[test]
fn a_data_directory_knows_its_server() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("new/data");
    drop(DataDir::create(&path, &identity()).unwrap());
    let directory = DataDir::open(&path).unwrap();
    assert_eq!(directory.identity(), &identity());
    assert_eq!(directory.path(), path);
    assert_eq!(DataDir::identity_of(&path).unwrap(), identity());
    let joined = Identity {
        founders: Vec::new(),
        ..identity()
    };
    let path = temporary.path().join("joined");
    drop(DataDir::create(&path, &joined).unwrap());
    assert_eq!(DataDir::identity_of(&path).unwrap(), joined);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_open_a_data_directory() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("new/data");
    let directory = DataDir::create(&path, &identity()).unwrap();
    directory.save_settings("").unwrap();
    directory.mark_log_begun().unwrap();
    assert_eq!(mode(&path), 0o700);
    for file in fs::read_dir(&path).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

/// Like a log's segment, which has its full length from the beginning.
#[cfg(unix)]
#[test]
fn disk_bytes_counts_what_was_written_however_long_the_files_are() {
    let temporary = tempfile::tempdir().unwrap();
    let inner = temporary.path().join("raft/journals");
    fs::create_dir_all(&inner).unwrap();
    let file = fs::File::create(inner.join("0.jnl")).unwrap();
    file.set_len(64 << 20).unwrap();
    file.sync_all().unwrap();
    let empty = disk_bytes(temporary.path());
    assert!(empty < 1 << 20, "{empty}");
    // Bytes that no file system compresses.
    let bytes: Vec<_> = (0..1_u64 << 18)
        .flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect();
    fs::write(temporary.path().join("written"), &bytes).unwrap();
    let file = fs::File::open(temporary.path().join("written")).unwrap();
    file.sync_all().unwrap();
    let written = disk_bytes(temporary.path()) - empty;
    assert!((1 << 20..4 << 20).contains(&written), "{written}");
    assert_eq!(disk_bytes(&temporary.path().join("none")), 0);
}

#[test]
fn a_log_that_was_begun_and_is_missing_is_an_error() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = DataDir::create(temporary.path().join("data"), &identity()).unwrap();
    directory.check_log_exists().unwrap();
    fs::create_dir(directory.log_dir()).unwrap();
    fs::write(directory.log_dir().join("FORMAT"), "").unwrap();
    directory.mark_log_begun().unwrap();
    directory.mark_log_begun().unwrap();
    directory.check_log_exists().unwrap();
    fs::remove_dir_all(directory.log_dir()).unwrap();
    let error = directory.check_log_exists().unwrap_err();
    assert!(matches!(error, DataDirError::LogMissing { .. }), "{error}");
}

#[test]
fn no_second_process_opens_a_data_directory() {
    let temporary = tempfile::tempdir().unwrap();
    let first = DataDir::create(temporary.path(), &identity()).unwrap();
    let second = DataDir::open(temporary.path());
    assert!(
        matches!(second, Err(DataDirError::Locked { .. })),
        "{second:?}"
    );
    // Its identity can still be read.
    assert_eq!(DataDir::identity_of(temporary.path()).unwrap(), identity());
    drop(first);
    DataDir::open(temporary.path()).unwrap();
}

#[test]
fn a_data_directory_never_replaces_another() {
    let temporary = tempfile::tempdir().unwrap();
    drop(DataDir::create(temporary.path(), &identity()).unwrap());
    let other = Identity {
        node: 3,
        ..identity()
    };
    let again = DataDir::create(temporary.path(), &other);
    assert!(
        matches!(again, Err(DataDirError::Exists { .. })),
        "{again:?}"
    );
    assert_eq!(DataDir::identity_of(temporary.path()).unwrap(), identity());
}

#[test]
fn a_directory_with_other_files_is_refused_and_left_alone() {
    let temporary = tempfile::tempdir().unwrap();
    fs::write(temporary.path().join("letter"), "dear").unwrap();
    let error = DataDir::create(temporary.path(), &identity()).unwrap_err();
    assert!(
        matches!(&error, DataDirError::NotEmpty { name, .. } if name == "letter"),
        "{error}"
    );
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1);
}

#[test]
fn the_files_of_a_killed_process_are_no_obstacle() {
    let temporary = tempfile::tempdir().unwrap();
    fs::write(temporary.path().join("cluster.toml.x1y2"), "for").unwrap();
    fs::write(temporary.path().join("LOCK"), "").unwrap();
    DataDir::create(temporary.path(), &identity()).unwrap();
}

#[test]
fn a_directory_that_is_no_data_directory_is_refused_and_stays_unchanged() {
    let temporary = tempfile::tempdir().unwrap();
    for path in [temporary.path().to_owned(), temporary.path().join("none")] {
        let error = DataDir::open(&path).unwrap_err();
        assert!(matches!(error, DataDirError::NotADataDir { .. }), "{error}");
        assert!(error.to_string().contains("raft-kv init"), "{error}");
    }
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn another_version_and_damage_are_reported() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("cluster.toml");
    fs::write(&file, "format = 2\nshards = 16\n").unwrap();
    let error = DataDir::open(temporary.path()).unwrap_err();
    assert!(
        matches!(
            error,
            DataDirError::UnsupportedVersion {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    for damaged in [
        "",
        "format = 1\n",
        "format = 1\ncluster = 1\nnode = -1\n",
        "\u{1}",
    ] {
        fs::write(&file, damaged).unwrap();
        let error = DataDir::open(temporary.path()).unwrap_err();
        assert!(matches!(error, DataDirError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_data_directory_of_another_node_or_cluster_is_refused() {
    let path = std::path::Path::new("data");
    let own = identity();
    own.require(path, None, None).unwrap();
    own.require(path, Some(own.cluster), Some(own.node))
        .unwrap();
    let other = own.require(path, Some(5), Some(own.node));
    assert!(
        matches!(other, Err(DataDirError::OtherCluster { asked: 5, .. })),
        "{other:?}"
    );
    let other = own.require(path, None, Some(1));
    assert!(
        matches!(
            other,
            Err(DataDirError::OtherNode {
                found: 2,
                asked: 1,
                ..
            })
        ),
        "{other:?}"
    );
}
