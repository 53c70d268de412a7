//! A stretch of network before a server that can be made slow, deaf or broken.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes at once.
    Clear,
    /// Each piece of a reply comes so much later.
    Slow(Duration),
    /// Connections stay open and nothing passes.
    Deaf,
    /// Every connection is cut, new ones too.
    Down,
    /// Every connection is cut after so many bytes of a reply.
    Torn(usize),
}

/// A TCP proxy on a free loopback port; ends with its owner.
pub struct Network {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    task: JoinHandle<()>,
}

impl Network {
    /// A clear way to a loopback port.
    pub async fn before(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (weather, seen) = watch::channel(Weather::Clear);
        let task = tokio::spawn(serve(listener, port, seen));
        Ok(Self { address, weather, task })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather for open and new connections alike.
    pub fn turn(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, port: u16, weather: watch::Receiver<Weather>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(carry(client, port, weather.clone()));
    }
}

/// Carries one connection until either side ends it or the weather does.
async fn carry(client: TcpStream, port: u16, weather: watch::Receiver<Weather>) {
    if *weather.borrow() == Weather::Down {
        return;
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return;
    };
    // A failure costs only what the kernel would hold back.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass(from_client, to_server, weather.clone(), false) => {}
        () = pass(from_server, to_client, weather, true) => {}
    }
}

/// Passes bytes one way; its end is the connection's.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>, is_reply: bool) {
    let mut piece = vec![0; 16 << 10];
    let mut passed = 0;
    loop {
        let read = tokio::select! {
            read = from.read(&mut piece) => read,
            changed = weather.changed() => {
                passed = 0;
                if changed.is_err() || *weather.borrow_and_update() == Weather::Down {
                    return;
                }
                continue;
            }
        };
        let Ok(count @ 1..) = read else { return };
        let now = *weather.borrow();
        let mut end = count;
        match now {
            Weather::Down => return,
            Weather::Deaf => continue,
            Weather::Slow(delay) if is_reply => tokio::time::sleep(delay).await,
            Weather::Torn(bytes) if is_reply => end = count.min(bytes.saturating_sub(passed)),
            _ => {}
        }
        passed += end;
        if to.write_all(&piece[..end]).await.is_err() || end < count {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that gives back what it gets.
    async fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        port
    }

    #[tokio::test]
    async fn the_weather_changes_for_open_connections() {
        let network = Network::before(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(network.address()).await.unwrap();
        let mut reply = [0; 5];
        stream.write_all(b"clear").await.unwrap();
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"clear");
        network.turn(Weather::Torn(2));
        stream.write_all(b"torn").await.unwrap();
        let mut rest = Vec::new();
        // It may be cut as hard as it likes.
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(rest, b"to");
        network.turn(Weather::Down);
        let mut stream = TcpStream::connect(network.address()).await.unwrap();
        assert_eq!(stream.read(&mut reply).await.unwrap_or(0), 0);
        network.turn(Weather::Deaf);
        let mut stream = TcpStream::connect(network.address()).await.unwrap();
        stream.write_all(b"lost").await.unwrap();
        network.turn(Weather::Down);
        assert_eq!(stream.read(&mut reply).await.unwrap_or(0), 0);
        network.turn(Weather::Clear);
        let mut stream = TcpStream::connect(network.address()).await.unwrap();
        stream.write_all(b"again").await.unwrap();
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"again");
    }
}
