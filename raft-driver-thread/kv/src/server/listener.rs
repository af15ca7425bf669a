//! Accepts clients.

use super::connection::Connection;
use super::context::ServerContext;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// How long the TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after the operating system refused another connection, for lack of file descriptors
/// for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts clients until the runtime ends.
pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    context: Arc<ServerContext>,
) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, context) = (tls.clone(), context.clone());
        tokio::spawn(async move {
            if let Err(error) = handshake(stream, address, tls, context).await {
                tracing::debug!(%address, %error, "a client's connection ended");
            }
        });
    }
}

async fn handshake(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    context: Arc<ServerContext>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => serve(stream, address, context).await,
        Some(tls) => {
            let late = |_| Err(std::io::ErrorKind::TimedOut.into());
            let stream = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await;
            serve(stream.unwrap_or_else(late)?, address, context).await
        }
    }
}

async fn serve<S>(
    mut stream: S,
    address: SocketAddr,
    context: Arc<ServerContext>,
) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match context.clients.enter(address) {
        Some(slot) => Connection::new(context, slot).serve(stream).await,
        None => {
            let refusal = b"-ERR max number of clients reached\r\n";
            stream.write_all(refusal).await?;
            stream.shutdown().await
        }
    }
}
