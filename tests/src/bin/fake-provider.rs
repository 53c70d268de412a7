//! The fake provider as a program: one line on stdout when it serves, then until SIGTERM or Ctrl-C.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use llmcache_tests::fake::{Fake, FakeConfig};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
usage: fake-provider [--listen 127.0.0.1:0] [--think-ms N] [--token-us N] [--no-log] [--gzip] [--bind-thinking]
  --listen A        address to serve on; port 0 = any free one (default 127.0.0.1:0)
  --think-ms N      milliseconds before the first byte of an answer (default 0)
  --token-us N      microseconds per output token (default 0)
  --event-chars N   characters of text per stream event (default 16)
  --no-log          keep no requests
  --gzip            compress answers for clients that accept gzip
  --bind-thinking   refuse thinking blocks of another conversation";

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let config = match parse(std::env::args().skip(1)) {
        Ok(config) => config,
        Err(problem) => return say(std::io::stderr(), &format!("{problem}\n{USAGE}"), 2),
    };
    let listen = config.listen;
    let served = async {
        let mut terminated = signal(SignalKind::terminate())?;
        let fake = Fake::start(config).await?;
        say(std::io::stdout(), &format!("fake provider ready {}", fake.url()), 0);
        tokio::select! {
            _ = terminated.recv() => {}
            stopped = tokio::signal::ctrl_c() => stopped?,
        }
        fake.stop().await;
        Ok::<_, std::io::Error>(())
    };
    match served.await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => say(std::io::stderr(), &format!("cannot serve on {listen}: {error}"), 1),
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<FakeConfig, String> {
    let mut config = FakeConfig::default();
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} wants a value"));
        match flag.as_str() {
            "--listen" => {
                config.listen = value()?
                    .parse::<SocketAddr>()
                    .map_err(|error| format!("--listen: {error}"))?;
            }
            "--think-ms" => config.think = Duration::from_millis(number(&flag, &value()?)?),
            "--token-us" => config.token = Duration::from_micros(number(&flag, &value()?)?),
            "--event-chars" => config.event_chars = usize::try_from(number(&flag, &value()?)?).unwrap_or(usize::MAX),
            "--no-log" => config.log = false,
            "--gzip" => config.gzip = true,
            "--bind-thinking" => config.bind_thinking = true,
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(config)
}

fn number(flag: &str, value: &str) -> Result<u64, String> {
    value
        .parse()
        .map_err(|_| format!("{flag}: {value:?} is no whole number"))
}

/// Writes a line at once; a closed pipe is the reader's wish.
fn say(mut to: impl Write, line: &str, code: u8) -> std::process::ExitCode {
    let _ = writeln!(to, "{line}");
    let _ = to.flush();
    code.into()
}
