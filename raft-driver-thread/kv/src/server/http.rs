//! The pages for probes and monitoring: /healthz, /readyz, /metrics.
//!
//! Beside the node's metrics, which the driver documents, a server has these, each with a label `node`.
//!
//! | name | kind | what |
//! |---|---|---|
//! | `raft_kv_connections` | gauge | clients that are connected |
//! | `raft_kv_commands_total` | counter | commands that clients sent |
//! | `raft_kv_rejected_connections_total` | counter | connections refused, because there were too many |
//!
//! Histograms have the buckets [`SECONDS`] if their name ends in `_seconds`, else [`COUNTS`].

use super::context::ServerContext;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;

/// The buckets of histograms of durations: from a fast sync to a disk that hangs.
const SECONDS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// The buckets of histograms of counts.
const COUNTS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// The recorder of the whole process; `None` if the process has another one already.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder of metrics, unless it is installed already.
pub(super) fn install_recorder() {
    RECORDER.get_or_init(|| match recorder() {
        Ok(recorder) => Some(recorder),
        Err(error) => {
            tracing::warn!(%error, "there are no metrics: /metrics will answer 404");
            None
        }
    });
}

fn recorder() -> Result<PrometheusHandle, BuildError> {
    let seconds = Matcher::Suffix("_seconds".into());
    PrometheusBuilder::new()
        .set_buckets(&COUNTS)?
        .set_buckets_for_metric(seconds, &SECONDS)?
        .install_recorder()
}

/// Serves the pages until the runtime ends.
pub(super) async fn serve(listener: TcpListener, context: Arc<ServerContext>) {
    let pages = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .with_state(context);
    if let Err(error) = axum::serve(listener, pages).await {
        tracing::warn!(%error, "/metrics, /healthz and /readyz are not served any more");
    }
}

/// Liveness: the process need not be restarted.
async fn health(State(context): State<Arc<ServerContext>>) -> (StatusCode, String) {
    match context.router.node().stop_reason() {
        None => (StatusCode::OK, "ok\n".into()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// Readiness for clients: this server can answer a read.
async fn readiness(State(context): State<Arc<ServerContext>>) -> (StatusCode, String) {
    match context.catch_up().await {
        Ok(()) => (StatusCode::OK, "ready\n".into()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

async fn metrics(State(context): State<Arc<ServerContext>>) -> (StatusCode, String) {
    let Some(Some(recorder)) = RECORDER.get() else {
        let what = "this process has no recorder of metrics\n";
        return (StatusCode::NOT_FOUND, what.into());
    };
    let clients = &context.clients;
    let node = || context.identity.node.to_string();
    metrics::gauge!("raft_kv_connections", "node" => node()).set(clients.count() as f64);
    let commands = clients.commands.load(Ordering::Relaxed);
    metrics::counter!("raft_kv_commands_total", "node" => node()).absolute(commands);
    let rejected = clients.rejected.load(Ordering::Relaxed);
    metrics::counter!("raft_kv_rejected_connections_total", "node" => node()).absolute(rejected);
    recorder.run_upkeep();
    (StatusCode::OK, recorder.render())
}
