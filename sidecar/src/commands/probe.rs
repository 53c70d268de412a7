//! `probe`: whether the proxy is alive. Dead is only what takes a connection and answers nothing: a port nobody has
//! is the supervisor's to open, and a restart of the container would not open one that another process has.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(1);

/// What was seen of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Somebody answered.
    Answer,
    /// Nobody listens.
    Nobody,
    /// Somebody listens and says nothing.
    Silence,
}

/// Succeeds unless the proxy is stuck; takes a second at most.
pub(super) fn run(proxy: u16, admin: u16) -> ExitCode {
    let (tell, told) = mpsc::channel();
    for (port, path) in [(admin, "/livez"), (proxy, "/llmcache/snapshot")] {
        let tell = tell.clone();
        std::thread::spawn(move || tell.send(look(port, path)));
    }
    drop(tell);
    let (mut silent, mut answered) = (false, false);
    while let Ok(seen) = told.recv() {
        answered |= seen == Seen::Answer;
        silent |= seen == Seen::Silence;
        if answered {
            break;
        }
    }
    if silent && !answered {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn look(port: u16, path: &str) -> Seen {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(stream) => stream,
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => return Seen::Silence,
        Err(_) => return Seen::Nobody,
    };
    let asked = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes())
        });
    let mut first = [0];
    match asked.and_then(|()| stream.read(&mut first)) {
        Err(error) if is_late(&error) => Seen::Silence,
        // A process that hangs up lives, however rudely.
        Ok(_) | Err(_) => Seen::Answer,
    }
}

fn is_late(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[test]
    fn only_silence_is_death() {
        let (silent, silent_port) = listener();
        let (closed, closed_port) = listener();
        drop(closed);
        assert_eq!(look(silent_port, "/livez"), Seen::Silence);
        assert_eq!(look(closed_port, "/livez"), Seen::Nobody);
        assert_eq!(run(closed_port, closed_port), ExitCode::SUCCESS);
        assert_eq!(run(closed_port, silent_port), ExitCode::FAILURE);
        drop(silent);
        let (other, other_port) = listener();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = other.accept() {
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n");
            }
        });
        assert_eq!(look(other_port, "/livez"), Seen::Answer);
        let (_silent, silent_port) = listener();
        assert_eq!(run(other_port, silent_port), ExitCode::SUCCESS);
    }
}
