//! Connections as they come in, encrypted; a handshake that fails or stalls ends that connection alone.

use std::io;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

/// Handshakes under way at once; more wait in the kernel.
const HANDSHAKES: usize = 64;
/// Longest handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every connection whose handshake succeeded.
pub(super) fn incoming(
    listener: TcpListener,
    acceptor: TlsAcceptor,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
    let (accepted, connections) = mpsc::channel(HANDSHAKES);
    tokio::spawn(accept(listener, accepted));
    ReceiverStream::new(connections)
        .map(move |stream: TcpStream| {
            let acceptor = acceptor.clone();
            async move { tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await }
        })
        .buffer_unordered(HANDSHAKES)
        .filter_map(|shaken| async move {
            match shaken {
                Ok(Ok(stream)) => Some(Ok(stream)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a handshake failed");
                    None
                }
                Err(_) => None,
            }
        })
        .chain(stream::pending())
}

async fn accept(listener: TcpListener, accepted: mpsc::Sender<TcpStream>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                if accepted.send(stream).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Out of file descriptors, most likely: accepting again at once would spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
