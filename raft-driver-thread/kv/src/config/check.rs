//! What must hold of settings beyond their types.

use super::error::ConfigError;
use crate::settings::{ProtectedMode, Settings};
use crate::state::RELEASE_LEVEL;
use raft_driver_thread::raft_proto::Config;
use std::net::IpAddr;
use std::time::Duration;

/// The least length of one of the eight files of a recording.
const MIN_RECORDING: u64 = 128 << 10;

/// Checks the values of all settings.
pub(super) fn check(settings: &Settings) -> Result<(), ConfigError> {
    check_address("clients", &settings.clients)?;
    check_address("peers", &settings.peers)?;
    if let Some(http) = &settings.http {
        check_address("http", http)?;
    }
    match &settings.advertise_clients {
        Some(advertised) => check_reachable("advertise-clients", advertised).map(drop)?,
        None if is_everywhere(&settings.clients) => return Err(ConfigError::NotAdvertised),
        None => {}
    }
    check_protection(settings)?;
    let refuse = |key, what| Err(ConfigError::OutOfRange { key, what });
    check_passwords(settings)?;
    if settings.max_connections == 0 {
        return refuse("max-connections", "it must be at least 1");
    }
    if settings.max_value_bytes == 0 {
        return refuse("max-value-bytes", "it must be at least 1");
    }
    // The limit of the protocol of Redis. An entry of the log can hold it.
    if settings.max_value_bytes > 512 << 20 {
        return refuse("max-value-bytes", "it must be at most 512MiB");
    }
    if settings.max_transaction_bytes < settings.max_value_bytes {
        let what = "it must be at least max-value-bytes";
        return refuse("max-transaction-bytes", what);
    }
    if settings.max_transaction_bytes > 1 << 30 {
        return refuse("max-transaction-bytes", "it must be at most 1GiB");
    }
    if settings.client_output_buffer_limit < 1 << 20 {
        let what = "it must be at least 1MiB";
        return refuse("client-output-buffer-limit", what);
    }
    if settings.maxmemory_clients < settings.client_output_buffer_limit {
        let what = "it must be at least client-output-buffer-limit";
        return refuse("maxmemory-clients", what);
    }
    check_times(settings)?;
    let drift = settings.max_drift_ppm.unwrap_or(0);
    if drift > Config::MAX_DRIFT_PPM {
        return refuse("max-drift-ppm", "it must be at most 100000, or off");
    }
    if settings.snapshot_every_bytes == 0 {
        return refuse("snapshot-every-bytes", "it must be at least 1");
    }
    if settings.snapshot_sending.max_transfers == 0 {
        return refuse("snapshot-transfers", "it must be at least 1");
    }
    let recordings = settings.recordings.as_ref();
    if recordings.is_some_and(|it| it.max_file_bytes < MIN_RECORDING) {
        return refuse("recordings-bytes", "it must be at least 1MiB");
    }
    if settings.release_level > RELEASE_LEVEL {
        let what = "it must be at most the level of this release";
        return refuse("release-level", what);
    }
    if settings.threads == 0 {
        return refuse("threads", "it must be at least 1");
    }
    Ok(())
}

fn check_passwords(settings: &Settings) -> Result<(), ConfigError> {
    let refuse = |key, what| Err(ConfigError::OutOfRange { key, what });
    if settings.password.as_deref() == Some("") {
        return refuse("password", "it must not be empty");
    }
    if settings.admin_password.as_deref() == Some("") {
        return refuse("admin-password", "it must not be empty");
    }
    if settings.admin_password.is_some() && settings.admin_password == settings.password {
        return refuse("admin-password", "it must not be the same as password");
    }
    Ok(())
}

fn check_times(settings: &Settings) -> Result<(), ConfigError> {
    let refuse = |key, what| Err(ConfigError::OutOfRange { key, what });
    if settings.request_timeout.is_zero() {
        return refuse("request-timeout", "it must be more than 0");
    }
    if settings.heartbeat_interval.is_zero() {
        return refuse("heartbeat-interval", "it must be more than 0");
    }
    if settings.election_timeout < settings.heartbeat_interval.saturating_mul(3) {
        let what = "it must be at least three times heartbeat-interval";
        return refuse("election-timeout", what);
    }
    if (settings.tcp_keepalive).is_some_and(|silence| silence < Duration::from_secs(1)) {
        return refuse("tcp-keepalive", "it must be at least 1s, or 0s for never");
    }
    Ok(())
}

/// Refuses to let other machines in where anybody could read and write all.
fn check_protection(settings: &Settings) -> Result<(), ConfigError> {
    if settings.protected_mode == ProtectedMode::Off || settings.tls.is_some() {
        // With TLS the port for servers asks for certificates. Clients give a password, or the
        // network decides who reaches their port.
        return Ok(());
    }
    if settings.password.is_none() && !is_loopback(&settings.clients) {
        let address = settings.clients.clone();
        return Err(ConfigError::Unprotected {
            key: "clients",
            address,
        });
    }
    if !is_loopback(&settings.peers) {
        let address = settings.peers.clone();
        return Err(ConfigError::Unprotected {
            key: "peers",
            address,
        });
    }
    Ok(())
}

fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether only this machine reaches the address. A name may stand for any.
fn is_loopback(address: &str) -> bool {
    let host = host(address);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether it stands for all addresses of this machine, so that others cannot connect to it.
fn is_everywhere(address: &str) -> bool {
    host(address)
        .parse()
        .is_ok_and(|ip: IpAddr| ip.is_unspecified())
}

/// Checks that `text` is host:port, and returns the port. Port 0 asks for a free one.
///
/// # Errors
///
/// [`ConfigError::Address`].
pub fn check_address(key: &'static str, text: &str) -> Result<u16, ConfigError> {
    let port = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty() && !host.contains(char::is_whitespace))
        // An IPv6 address stands in brackets.
        .filter(|(host, _)| !host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
        .and_then(|(_, port)| port.parse().ok());
    port.ok_or_else(|| ConfigError::Address {
        key,
        text: text.to_owned(),
    })
}

/// Checks that `text` is host:port, and that others can connect to it.
///
/// # Errors
///
/// [`ConfigError::Address`].
pub fn check_reachable(key: &'static str, text: &str) -> Result<(), ConfigError> {
    if check_address(key, text)? == 0 || is_everywhere(text) {
        return Err(ConfigError::Address {
            key,
            text: text.to_owned(),
        });
    }
    Ok(())
}
