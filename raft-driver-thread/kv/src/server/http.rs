//! The pages for probes and monitoring: /healthz, /readyz, /metrics.

use super::Shared;
use super::combine::Batch;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;

/// What the whole process measures; `None` if it has another recorder already.
static MEASURED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Begins to measure, unless the process does already.
pub(super) fn measure() {
    MEASURED.get_or_init(|| {
        let installed = PrometheusBuilder::new().install_recorder();
        installed.map_or_else(
            |error| {
                tracing::warn!(%error, "/metrics shows nothing");
                None
            },
            Some,
        )
    });
}

/// Serves the pages until the runtime ends.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let pages = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .with_state(shared);
    if let Err(error) = axum::serve(listener, pages).await {
        tracing::warn!(%error, "the pages for probes are not served any more");
    }
}

/// Whether the process is to be left alone.
async fn health(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    match shared.gateway.node().stop_reason() {
        None => (StatusCode::OK, "ok\n".into()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// Whether clients are to be sent here: this server can answer a read.
async fn readiness(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    match shared.gateway.read(Batch::default(), &mut 0).await {
        Ok(_) => (StatusCode::OK, "ready\n".into()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    let Some(Some(measured)) = MEASURED.get() else {
        return (StatusCode::NOT_FOUND, "nothing is measured\n".into());
    };
    let node = shared.identity.node.to_string();
    let connections = shared.clients.count() as f64;
    metrics::gauge!("raft_kv_connections", "node" => node).set(connections);
    measured.run_upkeep();
    (StatusCode::OK, measured.render())
}
