//! Takes clients in.

use super::Shared;
use super::connection::Connection;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// How long TLS may take to begin.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long to wait when the operating system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(50);

/// Takes clients in until the runtime ends.
pub(super) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a client was not taken in");
                sleep(NO_ROOM).await;
                continue;
            }
        };
        let (tls, shared) = (tls.clone(), shared.clone());
        tokio::spawn(async move {
            if let Err(error) = welcome(stream, address, tls, shared).await {
                tracing::debug!(%address, %error, "a client's connection ended");
            }
        });
    }
}

async fn welcome(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => serve(stream, address, shared).await,
        Some(tls) => {
            let late = |_| Err(std::io::ErrorKind::TimedOut.into());
            let stream = timeout(HANDSHAKE, tls.accept(stream)).await;
            serve(stream.unwrap_or_else(late)?, address, shared).await
        }
    }
}

async fn serve<S>(mut stream: S, address: SocketAddr, shared: Arc<Shared>) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match shared.clients.enter(address) {
        Some(place) => Connection::new(shared, place).serve(stream).await,
        None => {
            let refusal = b"-ERR max number of clients reached\r\n";
            stream.write_all(refusal).await?;
            stream.shutdown().await
        }
    }
}
