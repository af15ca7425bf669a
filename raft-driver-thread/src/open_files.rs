//! How many files, sockets among them, this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit is too low, and the process may not raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{needed} open files and connections are needed, and this process may have {limit}: raise the \
     hard limit (`ulimit -Hn {needed}`, or LimitNOFILE of the service)"
)]
pub struct TooFewOpenFiles {
    /// How many are needed.
    pub needed: u64,
    /// How many the process may have at most.
    pub limit: u64,
}

/// Raises this process' limit of open files to what the system allows it, and returns the limit.
/// Call it before a server of many connections starts. A process that reaches the limit later can
/// accept no connections, and stops if it is the log that needs a file.
///
/// # Errors
///
/// [`TooFewOpenFiles`] if that is less than `needed`.
pub fn raise_open_files(needed: u64) -> Result<u64, TooFewOpenFiles> {
    let limits = getrlimit(Resource::Nofile);
    // `None` is no limit.
    let most = limits.maximum.unwrap_or(u64::MAX);
    let current = limits.current.unwrap_or(u64::MAX);
    if current < most {
        let raised = |limit| {
            let current = Some(limit);
            let maximum = limits.maximum;
            setrlimit(Resource::Nofile, Rlimit { current, maximum }).is_ok()
        };
        // Some systems refuse to go as far as their hard limit says.
        let wanted = [most, needed.min(most)];
        let _ = wanted
            .into_iter()
            .filter(|limit| *limit > current)
            .any(raised);
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if limit < needed {
        return Err(TooFewOpenFiles { needed, limit });
    }
    Ok(limit)
}
