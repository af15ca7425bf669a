//! Logs, on standard error.

use super::failure::Failure;
use tracing_subscriber::EnvFilter;

/// The environment variable that says what is logged.
const VARIABLE: &str = "RAFT_KV_LOG";
/// What is logged unless something else is asked for.
const DEFAULT: &str = "warn";
/// The default while this process starts or stops several servers, which cannot reach each other
/// then.
const WITHOUT_PEERS: &str = "warn,raft_driver_thread::transport=error";

/// The log of this process.
pub(super) struct Logging {
    /// Replaces the filter, if it is the default.
    set_filter: Option<Box<dyn Fn(EnvFilter)>>,
}

impl Logging {
    /// Begins to log what `given` says, else the environment, else the default.
    pub(super) fn start(given: Option<String>) -> Result<Logging, Failure> {
        let given = given.or_else(|| std::env::var(VARIABLE).ok());
        let filter = EnvFilter::try_new(given.as_deref().unwrap_or(DEFAULT));
        let filter = filter.map_err(|error| Failure::usage(format!("--log: {error}")))?;
        let logger = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_env_filter(filter)
            .with_filter_reloading();
        let reload = logger.reload_handle();
        // A larger process that runs this may have a logger already.
        let _ = logger.try_init();
        let set_filter = move |filter| {
            // If this fails, more is logged than has to be.
            let _ = reload.reload(filter);
        };
        Ok(Logging {
            set_filter: given.is_none().then(|| Box::new(set_filter) as Box<_>),
        })
    }

    /// Called before this process starts or stops several servers, one after the other: that they
    /// cannot reach each other is not logged, unless a filter was given.
    pub(super) fn expect_disconnections(&self) {
        self.set_default(WITHOUT_PEERS);
    }

    /// Called once all of them run.
    pub(super) fn report_disconnections(&self) {
        self.set_default(DEFAULT);
    }

    fn set_default(&self, filter: &str) {
        if let Some(set_filter) = &self.set_filter {
            set_filter(EnvFilter::new(filter));
        }
    }
}
