//! Accepts clients.

use super::clients::{ClientSocket, User};
use super::connection::Connection;
use super::context::ServerContext;
use socket2::{SockRef, TcpKeepalive};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// How long the TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after the operating system refused another connection, for lack of file descriptors
/// for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts clients until the runtime ends.
pub(super) async fn accept(listener: TcpListener, context: Arc<ServerContext>) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let tls = context.certificates.as_ref().map(|it| it.acceptor());
        let context = context.clone();
        tokio::spawn(async move {
            if let Err(error) = handshake(stream, address, tls, context).await {
                tracing::debug!(%address, %error, "a client's connection ended");
            }
        });
    }
}

async fn handshake(
    mut stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    context: Arc<ServerContext>,
) -> std::io::Result<()> {
    set_options(&stream, &context)?;
    // A client in the middle of its handshake takes a place too.
    let socket = ClientSocket {
        address,
        local: stream.local_addr()?,
        descriptor: descriptor(&stream),
    };
    let slot = context.clients.enter(socket, User::Default);
    match (tls, slot) {
        (None, Some(slot)) => Connection::new(context, slot).serve(stream).await,
        (None, None) => {
            // If it does not fit what the system buffers of a new connection, the client does
            // without.
            let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
            stream.shutdown().await
        }
        (Some(tls), Some(slot)) => {
            let late = |_| Err(std::io::ErrorKind::TimedOut.into());
            let stream = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await;
            let stream = stream.unwrap_or_else(late)?;
            Connection::new(context, slot).serve(stream).await
        }
        (Some(_), None) => Ok(()),
    }
}

#[cfg(unix)]
fn descriptor(stream: &TcpStream) -> i64 {
    use std::os::fd::AsRawFd;
    stream.as_raw_fd().into()
}

#[cfg(not(unix))]
fn descriptor(_: &TcpStream) -> i64 {
    -1
}

/// Small replies leave at once. A client whose machine or network is gone is noticed.
fn set_options(stream: &TcpStream, context: &ServerContext) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(silence) = context.settings.tcp_keepalive else {
        return Ok(());
    };
    // As Redis does: three attempts within the same time again.
    let keepalive = TcpKeepalive::new()
        .with_time(silence)
        .with_interval((silence / 3).max(Duration::from_secs(1)));
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_keepalive(&keepalive.with_retries(3))?;
        socket.set_tcp_user_timeout(Some(silence * 2))?;
    }
    #[cfg(not(target_os = "linux"))]
    socket.set_tcp_keepalive(&keepalive)?;
    Ok(())
}
