//! The cable between one process and the store: it can be cut, and mended.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub(super) struct Wire {
    pub(super) port: u16,
    is_cut: watch::Sender<bool>,
    task: AbortHandle,
}

impl Wire {
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let is_cut = watch::Sender::new(false);
        let own = listener.local_addr().unwrap().port();
        let task = tokio::spawn(carry(listener, (Ipv4Addr::LOCALHOST, port).into(), is_cut.subscribe()));
        Self {
            port: own,
            is_cut,
            task: task.abort_handle(),
        }
    }

    /// Cuts the cable, or mends it: what is under way is lost.
    pub(super) fn cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.is_cut.send_replace(true);
        self.task.abort();
    }
}

async fn carry(listener: TcpListener, to: SocketAddr, is_cut: watch::Receiver<bool>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let mut is_cut = is_cut.clone();
        if *is_cut.borrow() {
            continue;
        }
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(to).await else {
                return;
            };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = is_cut.wait_for(|is_cut| *is_cut) => {}
            }
        });
    }
}
