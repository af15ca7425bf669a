//! File descriptors: a client that connects takes one, and must not take the last one, which the
//! log needs to write.

/// How many descriptors are kept for the log, for the other servers' connections and for the pages.
const RESERVED: u64 = 512;

/// Raises the limit of this process as far as the system allows. Returns how many clients may be
/// connected: as many as wanted, or fewer if there are not enough descriptors.
#[cfg(unix)]
pub(super) fn clients(wanted: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let needed = (wanted as u64).saturating_add(RESERVED);
    if limit.current.is_some_and(|current| current < needed) {
        limit.current = limit
            .maximum
            .map_or(Some(needed), |most| Some(most.min(needed)));
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit of file descriptors cannot be raised");
        }
    }
    let Some(current) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    // Where not even the reserve is allowed, a quarter is left for clients.
    let allowed = current.saturating_sub(RESERVED).max(current / 4).max(1);
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    if allowed < wanted {
        tracing::warn!(
            descriptors = current,
            max_connections = allowed,
            "there are too few file descriptors for max-connections: raise the limit (ulimit -n)"
        );
    }
    wanted.min(allowed)
}

/// Where the system has no such limit.
#[cfg(not(unix))]
pub(super) fn clients(wanted: usize) -> usize {
    wanted
}
