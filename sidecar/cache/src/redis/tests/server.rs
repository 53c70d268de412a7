//! A Redis server of the test's own on a free loopback port; ends with its owner.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::{AsyncConnectionConfig, Cmd, FromRedisValue};

pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_at(free_port()).await
    }

    pub(crate) async fn start_at(port: u16) -> Self {
        Self::start_with(port, &[]).await
    }

    pub(crate) async fn start_with(port: u16, args: &[&str]) -> Self {
        let child = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(["--dir", &std::env::temp_dir().to_string_lossy()])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let server = Self { child, port };
        eventually(|| std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()).await;
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&patient)
            .await
            .unwrap();
        command.query_async(&mut connection).await.unwrap()
    }

    /// Sets a parameter of the running server.
    pub(crate) async fn set(&self, name: &str, value: &str) {
        let _: String = self.ask(redis::cmd("CONFIG").arg("SET").arg(name).arg(value)).await;
    }

    /// Removes the one key whose name has this part.
    pub(crate) async fn remove(&self, part: &str) {
        let name = self.name(part).await;
        let _: i64 = self.ask(redis::cmd("DEL").arg(name)).await;
    }

    /// The one key whose name has this part, whatever its type, its name before it.
    pub(crate) async fn copy(&self, part: &str) -> (String, Vec<u8>) {
        let name = self.name(part).await;
        let copy = self.ask(redis::cmd("DUMP").arg(&name)).await;
        (name, copy)
    }

    /// Puts a copy in the place of what is there.
    pub(crate) async fn paste(&self, (name, copy): &(String, Vec<u8>)) {
        let _: String = self
            .ask(redis::cmd("RESTORE").arg(name).arg(0).arg(copy).arg("REPLACE"))
            .await;
    }

    /// Removes the oldest bans of the log whose name has this part.
    pub(crate) async fn forget_oldest(&self, part: &str, count: usize) {
        let name = self.name(part).await;
        let _: i64 = self
            .ask(redis::cmd("ZREMRANGEBYRANK").arg(name).arg(1).arg(count))
            .await;
    }

    /// The value of the one key whose name has this part, its name before it.
    pub(crate) async fn dump(&self, part: &str) -> (String, Vec<u8>) {
        let name = self.name(part).await;
        let value = self.ask(redis::cmd("GET").arg(&name)).await;
        (name, value)
    }

    /// Puts a value back as it was, for two hours.
    pub(crate) async fn restore(&self, (name, value): &(String, Vec<u8>)) {
        let _: String = self
            .ask(redis::cmd("SET").arg(name).arg(value).arg("EX").arg(7_199))
            .await;
    }

    /// A part without a closing colon is the last: any other may begin like it.
    async fn name(&self, part: &str) -> String {
        let names = self.names().await;
        let is_meant = |name: &String| name.ends_with(part) || part.ends_with(':') && name.contains(part);
        let name = names.into_iter().find(is_meant);
        name.expect("a key of this kind")
    }

    pub(crate) async fn names(&self) -> Vec<String> {
        let (_, names): (u64, Vec<String>) = self.ask(redis::cmd("SCAN").arg(0).arg("COUNT").arg(100_000)).await;
        names
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A port that nobody listens on, below those that the system gives to outgoing connections.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(61);
    (0..10_000)
        .map(|_| first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000 + 10_000)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .unwrap()
}

/// Waits for a condition; fails after half a minute.
pub(crate) async fn eventually(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .expect("the condition came true in time");
}
