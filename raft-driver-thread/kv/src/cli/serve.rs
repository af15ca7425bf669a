//! A server that runs until it is told to stop.

use super::failure::Failure;
use crate::config::ServerOptions;
use crate::data_dir::DataDir;
use crate::server::Server;

/// Where clients are listened to if nothing else is said: where those of Redis look.
const CLIENTS: &str = "127.0.0.1:6379";

/// Runs a server, and `begun` as soon as it listens, until it is told to stop; then hands over the
/// lead. If `begun` fails, so does all of it.
pub(super) fn serve(
    mut options: ServerOptions,
    folder: &DataDir,
    begun: impl FnOnce(&Server) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let identity = folder.identity();
    let mut founders = identity.founders.iter();
    let me = founders.find(|founder| founder.node == identity.node);
    options.peers = options.peers.or(me.map(|me| me.peers.clone()));
    options.clients.get_or_insert_with(|| CLIENTS.into());
    if options.peers.is_none() {
        let what = "--peers is missing: where the other servers are listened to";
        return Err(Failure::usage(what));
    }
    folder.check_log_exists()?;
    let server = Server::start(options.settings()?, identity.clone())?;
    folder.mark_log_begun()?;
    println!("node {} of cluster {}", identity.node, identity.cluster);
    println!("clients  {}", server.clients_address());
    println!("peers    {}", server.peers_address());
    if let Some(http) = server.http_address() {
        println!("http     http://{http}/metrics, /healthz, /readyz");
    }
    let begun = begun(&server);
    let reason = match begun {
        Ok(()) => server.wait(told_to_stop()),
        Err(_) => None,
    };
    match reason {
        Some(reason) => Err(Failure::new(format!("the server stopped: {reason}"))),
        None => {
            println!("stopping");
            server.stop();
            begun
        }
    }
}

/// Until the process is asked to end: Ctrl-C, or SIGTERM.
pub(super) async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Without it the process ends as it would anyway, and loses nothing.
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
