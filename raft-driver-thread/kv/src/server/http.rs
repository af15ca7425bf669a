//! The pages for probes and monitoring: /healthz, /readyz, /metrics.
//!
//! Anybody who reaches the port can open connections, and be slow. A connection serves one request,
//! and is closed after [`CONNECTION_LIMIT`], whatever it has sent or read by then. There are at
//! most [`MAX_CONNECTIONS`]; a further one closes the oldest, so that slow ones keep no probe out.
//!
//! Beside [the node's metrics](raft_driver_thread::metrics), a server has these. Each has a label
//! `node`, with a value like `n1`.
//!
//! | name | type | unit | meaning |
//! |---|---|---|---|
//! | `raft_kv_connections` | gauge | connections | clients that are connected |
//! | `raft_kv_commands_total` | counter | commands | that clients sent, refused ones included |
//! | `raft_kv_command_calls_total` | counter | calls | of each command, with a label `command`; those of which nothing was done are left out |
//! | `raft_kv_rejected_connections_total` | counter | connections | refused, being too many |
//! | `raft_kv_expired_keys_total` | counter | keys | that have expired since this server started |
//! | `raft_kv_keyspace_hits_total` | counter | keys | that this server's clients read, and that were there |
//! | `raft_kv_keyspace_misses_total` | counter | keys | that they read, and that were not there |
//! | `raft_kv_used_memory_bytes` | gauge | bytes | of keys and values, as `max-memory` counts |
//! | `raft_kv_waiting_reply_bytes` | gauge | bytes | of replies that clients have not read |
//! | `raft_kv_certificate_expiry_timestamp_seconds` | gauge | seconds since 1970 | when this server's certificate expires; only with TLS |

use super::context::ServerContext;
use crate::state::Machine;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use raft_driver_thread::metrics::HISTOGRAMS;
use raft_driver_thread::raft_proto::NodeId;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// The recorder of the whole process; `None` if the process has another one already.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// How often samples are folded into their histograms. Until then each takes 16 bytes.
const FOLD_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the recorder of metrics, unless it is installed already. Returns whether this process
/// has one.
pub(super) fn install_recorder() -> bool {
    let installed = RECORDER.get_or_init(|| match recorder() {
        Ok(recorder) => Some(recorder),
        Err(error) => {
            tracing::warn!(%error, "there are no metrics: /metrics will answer 404");
            None
        }
    });
    installed.is_some()
}

/// Folds samples into their histograms until the runtime ends. Nobody may ever ask for them.
pub(super) async fn fold_samples() {
    let mut ticks = tokio::time::interval(FOLD_INTERVAL);
    loop {
        ticks.tick().await;
        if let Some(Some(recorder)) = RECORDER.get() {
            recorder.run_upkeep();
        }
    }
}

fn recorder() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for histogram in HISTOGRAMS {
        let name = Matcher::Full(histogram.name.into());
        builder = builder.set_buckets_for_metric(name, histogram.buckets)?;
    }
    builder.install_recorder()
}

/// The most connections at a time. A page takes milliseconds.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may take in all. /readyz may wait for a leader meanwhile.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);

/// The longest request: its line and its headers.
const MAX_REQUEST_BYTES: usize = 16 << 10;

/// The pause after the operating system refused another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the pages until the runtime ends.
pub(super) async fn serve(listener: TcpListener, context: Shown) {
    let pages = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .with_state(context);
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection for /metrics could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let pages = TowerToHyperService::new(pages.clone());
        let connection = tokio::spawn(async move {
            let served = http1::Builder::new()
                .keep_alive(false)
                .header_read_timeout(None)
                .max_buf_size(MAX_REQUEST_BYTES)
                .serve_connection(TokioIo::new(stream), pages);
            match timeout(CONNECTION_LIMIT, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a request for a page failed"),
                Err(_) => tracing::debug!("a connection for pages took too long: it was closed"),
            }
        });
        open.push_back(connection.abort_handle());
    }
}

/// The server, once it has read its snapshot and its log.
type Shown = Arc<OnceLock<Arc<ServerContext>>>;

fn starting(status: StatusCode) -> (StatusCode, String) {
    (
        status,
        "the server starts: it reads its snapshot and its log\n".into(),
    )
}

/// Liveness: the process need not be restarted.
async fn health(State(shown): State<Shown>) -> (StatusCode, String) {
    let Some(context) = shown.get() else {
        return starting(StatusCode::OK);
    };
    match context.router.node().stop_reason() {
        None => (StatusCode::OK, "ok\n".into()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// Readiness for clients: this server can answer a read.
async fn readiness(State(shown): State<Shown>) -> (StatusCode, String) {
    let Some(context) = shown.get() else {
        return starting(StatusCode::SERVICE_UNAVAILABLE);
    };
    match context.catch_up().await {
        Ok(()) => (StatusCode::OK, "ready\n".into()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

async fn metrics(State(shown): State<Shown>) -> (StatusCode, String) {
    let Some(context) = shown.get() else {
        return starting(StatusCode::SERVICE_UNAVAILABLE);
    };
    let Some(Some(recorder)) = RECORDER.get() else {
        let what = "this process has no recorder of metrics\n";
        return (StatusCode::NOT_FOUND, what.into());
    };
    let node = || NodeId(context.identity.node).to_string();
    let figures = |machine: &Machine| (machine.used_bytes(), machine.expired_key_count());
    if let Ok((used, expired)) = context.router.node().inspect(figures).await {
        metrics::gauge!("raft_kv_used_memory_bytes", "node" => node()).set(used as f64);
        context.stats.expired.observe(expired);
    }
    let clients = &context.clients;
    metrics::gauge!("raft_kv_connections", "node" => node()).set(clients.count() as f64);
    let stats = &context.stats;
    for (name, total) in [
        ("raft_kv_commands_total", clients.commands.total()),
        (
            "raft_kv_rejected_connections_total",
            clients.rejected.total(),
        ),
        ("raft_kv_expired_keys_total", stats.expired.total()),
        ("raft_kv_keyspace_hits_total", stats.hits.total()),
        ("raft_kv_keyspace_misses_total", stats.misses.total()),
    ] {
        metrics::counter!(name, "node" => node()).absolute(total);
    }
    for (command, calls) in stats.calls() {
        metrics::counter!("raft_kv_command_calls_total", "node" => node(), "command" => command)
            .absolute(calls);
    }
    let waiting = context.output_limits.waiting();
    metrics::gauge!("raft_kv_waiting_reply_bytes", "node" => node()).set(waiting as f64);
    if let Some(certificates) = &context.certificates {
        let expiry = certificates.expires_at() as f64;
        metrics::gauge!("raft_kv_certificate_expiry_timestamp_seconds", "node" => node())
            .set(expiry);
    }
    recorder.run_upkeep();
    (StatusCode::OK, recorder.render())
}
