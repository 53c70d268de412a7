//! `wait`: keeps the app from starting before the proxy's port is open, and never for longer than it was told.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use llmcache_policy::duration;

/// A hook that fails, or stays, keeps the app from starting.
const DEFAULT: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(20);

/// Ends when the port is open, or at the given time by this process's own clock; succeeds on every path.
pub(super) fn run(port: u16, longest: Option<&str>) -> ExitCode {
    let longest = longest.and_then(duration::parse).unwrap_or(DEFAULT);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let end = Instant::now() + longest;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || TcpStream::connect_timeout(&address, left).is_ok() {
            return ExitCode::SUCCESS;
        }
        sleep(STEP.min(end.saturating_duration_since(Instant::now())));
    }
}
