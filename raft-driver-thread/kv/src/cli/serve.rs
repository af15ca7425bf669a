//! Runs a server until Ctrl-C or SIGTERM. SIGHUP has it read its certificates again.

use super::failure::Failure;
use crate::config::ServerOptions;
use crate::data_dir::DataDir;
use crate::server::Server;

/// The default address for clients, which is also the default of Redis' clients.
const CLIENTS: &str = "127.0.0.1:6379";

/// Runs a server until Ctrl-C or SIGTERM, then hands leadership over. `begun` is called as soon as
/// the server listens. If it fails, the server is stopped. The addresses are printed after that, so
/// that a signal which follows them stops the server in order.
pub(super) fn serve(
    mut options: ServerOptions,
    data_dir: &DataDir,
    begun: impl FnOnce(&Server) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let identity = data_dir.identity();
    let mut founders = identity.founders.iter();
    let own = founders.find(|founder| founder.node == identity.node);
    options.peers = options.peers.or(own.map(|own| own.peers.clone()));
    options.clients.get_or_insert_with(|| CLIENTS.into());
    if options.peers.is_none() {
        let what =
            "--peers is missing: give the address at which this server listens to the others";
        return Err(Failure::usage(what));
    }
    data_dir.check_log_exists()?;
    let is_asked_for = options.max_connections.is_some();
    let settings = options.settings()?;
    raise_open_files(settings.max_connections, is_asked_for)?;
    let server = Server::start(settings, identity.clone())?;
    data_dir.mark_log_begun()?;
    println!("node {} of cluster {}", identity.node, identity.cluster);
    let begun = begun(&server);
    let reason = match begun {
        Ok(()) => server.wait(async {
            let print = async {
                print_addresses(&server);
                std::future::pending().await
            };
            tokio::select! {
                biased; // The signals first: the one who reads the addresses may send one.
                () = signals(&server) => {}
                () = print => {}
            }
        }),
        Err(_) => None,
    };
    match reason {
        Some(reason) => Err(Failure::new(format!("the server stopped: {reason}"))),
        None => {
            println!("stopping");
            let conflict = server.conflict();
            server.stop();
            conflict.map_or(begun, |what| Err(Failure::new(what)))
        }
    }
}

fn print_addresses(server: &Server) {
    println!("clients  {}", server.clients_address());
    println!("peers    {}", server.peers_address());
    if let Some(http) = server.http_address() {
        println!("http     http://{http}/metrics, /healthz, /readyz");
    }
}

/// Raises the limit of open files, which each client needs one of. If that does not suffice for a
/// number of clients that nobody asked for, the server lets fewer in, and logs that.
fn raise_open_files(clients: usize, is_asked_for: bool) -> Result<(), Failure> {
    /// For the log, snapshots, and the other servers.
    const OTHERS: u64 = 256;
    #[cfg(unix)]
    if let Err(error) = raft_driver_thread::raise_open_files(clients as u64 + OTHERS)
        && is_asked_for
    {
        let what = format!("{error}; or lower --max-connections");
        return Err(Failure::new(what));
    }
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM. Reads the certificates again at each SIGHUP.
async fn signals(server: &Server) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Without a handler SIGHUP kills the process, which loses nothing.
        if let Ok(mut hangup) = signal(SignalKind::hangup()) {
            let mut stop = std::pin::pin!(stop_signal());
            loop {
                tokio::select! {
                    () = &mut stop => return,
                    Some(()) = hangup.recv() => reload_certificates(server),
                }
            }
        }
    }
    stop_signal().await;
}

#[cfg(unix)]
fn reload_certificates(server: &Server) {
    match server.reload_certificates() {
        Ok(true) => tracing::info!("the certificates were read again"),
        Ok(false) => tracing::info!("SIGHUP: there are no certificates to read again"),
        Err(error) => tracing::error!(%error, "the certificates in use stay"),
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Without a handler SIGTERM kills the process, which loses nothing.
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
