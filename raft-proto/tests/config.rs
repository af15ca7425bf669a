//! A config that cannot work is refused, and the error says what to change.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use raft_proto::*;
use std::time::Duration;
use support::*;

/// Expects that the changed config is refused with an error that contains all of `words`.
fn expect_refusal(change: impl Fn(&mut Config), words: &[&str]) -> ConfigError {
    let mut config = config(1, 3);
    assert_eq!(config.validate(), Ok(()));
    change(&mut config);
    let error = config.validate().unwrap_err();
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    let started = Raft::new(config, Recovered::default()).map(|_| ());
    assert_eq!(started, Err(StartError::Config(error.clone())));
    error
}

#[test]
fn the_defaults_are_valid() {
    let voters = vec![NodeId(1)];
    for start in [Start::voters(voters), Start::Join] {
        let config = Config::new(ClusterId(1), NodeId(1), start, 0);
        assert_eq!(config.validate(), Ok(()));
    }
}

#[test]
fn cluster_id_0_is_refused() {
    let error = expect_refusal(
        |config| config.cluster_id = ClusterId(0),
        &["cluster_id", "draw"],
    );
    assert_eq!(error, ConfigError::NoClusterId);
}

#[test]
fn a_cluster_without_voters_is_refused() {
    let start = |config: &mut Config| config.start = Start::voters([]);
    assert_eq!(
        expect_refusal(start, &["voters", "name them"]),
        ConfigError::NoVoters
    );
}

#[test]
fn a_voter_named_twice_is_refused() {
    let voters = vec![NodeId(1), NodeId(2), NodeId(3), NodeId(2)];
    let start = |config: &mut Config| {
        let voters = voters.clone();
        config.start = Start::voters(voters);
    };
    let error = expect_refusal(start, &["n2", "once"]);
    assert_eq!(error, ConfigError::DuplicateMember(NodeId(2)));
}

#[test]
fn a_heartbeat_interval_of_zero_is_refused() {
    let zero = |config: &mut Config| config.heartbeat_interval = Duration::ZERO;
    let error = expect_refusal(zero, &["heartbeat_interval", "usual"]);
    assert_eq!(error, ConfigError::NoHeartbeatInterval);
}

#[test]
fn an_append_timeout_of_zero_is_refused() {
    let zero = |config: &mut Config| config.append_timeout = Duration::ZERO;
    let error = expect_refusal(zero, &["append_timeout", "at least 1"]);
    assert_eq!(error, ConfigError::ZeroLimit("append_timeout"));
}

#[test]
fn an_election_timeout_shorter_than_three_heartbeats_is_refused() {
    let set = |millis| {
        move |config: &mut Config| {
            config.heartbeat_interval = Duration::from_millis(100);
            config.election_timeout_min = Duration::from_millis(millis);
        }
    };
    let error = expect_refusal(set(299), &["three times", "lengthen", "shorten", "299ms"]);
    assert!(matches!(error, ConfigError::HeartbeatTooSlow { .. }));
    let mut enough = config(1, 3);
    set(300)(&mut enough);
    assert_eq!(enough.validate(), Ok(()));
}

#[test]
fn an_empty_range_of_election_timeouts_is_refused() {
    for max in [400, 500] {
        let set = |config: &mut Config| config.election_timeout_max = Duration::from_millis(max);
        let error = expect_refusal(set, &["election_timeout_max", "above", "twice"]);
        assert!(matches!(error, ConfigError::ElectionTimeoutRange { .. }));
    }
}

#[test]
fn a_lease_promise_that_no_heartbeat_renews_or_that_outlasts_a_start_is_refused() {
    let promise = |millis: u64| {
        move |config: &mut Config| {
            config.lease = Lease::On { max_drift_ppm: 0 };
            config.check_quorum = CheckQuorum::On;
            config.lease_promise = Some(Duration::from_millis(millis));
        }
    };
    for millis in [0, 100, 501] {
        let error = expect_refusal(promise(millis), &["lease_promise", "100ms", "500ms"]);
        assert!(matches!(error, ConfigError::LeasePromiseRange { .. }));
    }
    for millis in [101, 500] {
        let mut enough = config(1, 3);
        promise(millis)(&mut enough);
        assert_eq!(enough.validate(), Ok(()));
    }
}

#[test]
fn intervals_of_more_than_a_day_are_refused() {
    let long = Config::MAX_INTERVAL + Duration::from_nanos(1);
    for (name, set) in [
        (
            "election_timeout_min",
            (|c, d| c.election_timeout_min = d) as fn(&mut Config, Duration),
        ),
        ("election_timeout_max", |c, d| c.election_timeout_max = d),
        ("heartbeat_interval", |c, d| c.heartbeat_interval = d),
        ("commit_notice_delay", |c, d| c.commit_notice_delay = d),
        ("append_timeout", |c, d| c.append_timeout = d),
    ] {
        let error = expect_refusal(|config| set(config, long), &[name, "86400"]);
        assert!(matches!(error, ConfigError::LimitTooGreat { .. }));
        expect_refusal(|config| set(config, Duration::MAX), &[name]);
    }
}

/// Sets one limit of a config.
type SetLimit = fn(&mut Config, u64);

const LIMITS: [(&str, SetLimit); 6] = [
    ("max_entry_bytes", |c, v| c.max_entry_bytes = v),
    ("max_append_bytes", |c, v| c.max_append_bytes = v),
    ("max_inflight_bytes", |c, v| c.max_inflight_bytes = v),
    ("max_uncommitted_bytes", |c, v| c.max_uncommitted_bytes = v),
    ("max_unapplied_bytes", |c, v| c.max_unapplied_bytes = v),
    ("snapshot_chunk_bytes", |c, v| c.snapshot_chunk_bytes = v),
];

#[test]
fn a_limit_of_zero_is_refused() {
    for (name, set) in LIMITS {
        let error = expect_refusal(|config| set(config, 0), &[name, "at least 1"]);
        assert_eq!(error, ConfigError::ZeroLimit(name));
    }
    let error = expect_refusal(|config| config.max_inflight_appends = 0, &[]);
    assert_eq!(error, ConfigError::ZeroLimit("max_inflight_appends"));
}

#[test]
fn a_limit_so_great_that_a_sum_could_overflow_is_refused() {
    for (name, set) in LIMITS {
        for value in [Config::MAX_BYTES + 1, u64::MAX] {
            let error = expect_refusal(|config| set(config, value), &[name]);
            let most = match name {
                "max_entry_bytes" | "max_append_bytes" | "snapshot_chunk_bytes" => {
                    Config::MAX_MESSAGE_BYTES
                }
                _ => Config::MAX_BYTES,
            };
            assert_eq!(error, ConfigError::LimitTooGreat { name, most });
        }
    }
    let error = expect_refusal(|config| config.max_inflight_appends = u32::MAX, &[]);
    assert!(matches!(error, ConfigError::LimitTooGreat { .. }));
}

// An entry of the greatest size must fit one append, and each limit must allow one such entry.
#[test]
fn a_limit_below_one_entry_of_the_greatest_size_is_refused() {
    for name in [
        "max_append_bytes",
        "max_uncommitted_bytes",
        "max_unapplied_bytes",
    ] {
        let (_, set) = LIMITS.into_iter().find(|(it, _)| *it == name).unwrap();
        let least = 1000 + ENTRY_OVERHEAD;
        let with = |value: u64| {
            move |config: &mut Config| {
                config.max_entry_bytes = 1000;
                set(config, value);
            }
        };
        let error = expect_refusal(with(least - 1), &[name, "max_entry_bytes", "raise"]);
        assert!(matches!(error, ConfigError::LimitTooSmall { least: it, .. } if it == least));
        let mut enough = config(1, 3);
        with(least)(&mut enough);
        assert_eq!(enough.validate(), Ok(()));
    }
    let set = |config: &mut Config| config.max_inflight_bytes = config.max_append_bytes - 1;
    expect_refusal(set, &["max_inflight_bytes", "max_append_bytes", "raise"]);
}

#[test]
fn the_greatest_values_are_valid() {
    let mut config = config(1, 1);
    for (_, set) in LIMITS {
        set(&mut config, Config::MAX_MESSAGE_BYTES);
    }
    config.max_entry_bytes -= ENTRY_OVERHEAD;
    config.max_inflight_appends = Config::MAX_INFLIGHT_APPENDS;
    config.trailing_entries = u64::MAX;
    config.election_timeout_min = Config::MAX_INTERVAL - Duration::from_nanos(1);
    config.election_timeout_max = Config::MAX_INTERVAL;
    config.heartbeat_interval = Config::MAX_INTERVAL / 4;
    config.commit_notice_delay = Config::MAX_INTERVAL;
    config.append_timeout = Config::MAX_INTERVAL;
    Raft::new(config, Recovered::default()).unwrap();
}
