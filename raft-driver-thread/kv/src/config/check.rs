//! What must hold of settings beyond their types.

use super::error::ConfigError;
use crate::settings::Settings;
use raft_driver_thread::raft_proto::Config;

/// Checks the values of all settings.
pub(super) fn check(settings: &Settings) -> Result<(), ConfigError> {
    check_address("clients", &settings.clients)?;
    check_address("peers", &settings.peers)?;
    if let Some(http) = &settings.http {
        check_address("http", http)?;
    }
    if let Some(advertised) = &settings.advertise_clients {
        check_reachable("advertise-clients", advertised)?;
    }
    let refuse = |key, what| Err(ConfigError::OutOfRange { key, what });
    if settings.password.as_deref() == Some("") {
        return refuse("password", "it must not be empty");
    }
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
    let drift = settings.max_drift_ppm.unwrap_or(0);
    if drift > Config::MAX_DRIFT_PPM {
        return refuse("max-drift-ppm", "it must be at most 100000, or off");
    }
    if settings.snapshot_every_bytes == 0 {
        return refuse("snapshot-every-bytes", "it must be at least 1");
    }
    if settings.threads == 0 {
        return refuse("threads", "it must be at least 1");
    }
    Ok(())
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
    let host = text.rsplit_once(':').map_or("", |(host, _)| host);
    if check_address(key, text)? == 0 || ["0.0.0.0", "[::]"].contains(&host) {
        return Err(ConfigError::Address {
            key,
            text: text.to_owned(),
        });
    }
    Ok(())
}
