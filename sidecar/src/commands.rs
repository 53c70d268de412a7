//! What the program `llmcache` does: nothing said, it supervises itself as `proxy`; `wait` and `probe` are run by the
//! kubelet beside it. Arguments are read by hand, because a start must never fail for them.

use std::process::ExitCode;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::embedder;
use crate::pod;
use crate::settings::Settings;

mod probe;
mod supervisor;
mod wait;

const USAGE: &str = "llmcache: the sidecar of a pod; its settings are environment variables set at injection

  llmcache               supervise the proxy: start it, restart it when it ends, pass on SIGTERM
  llmcache proxy         be the proxy
  llmcache wait [2s]     end when the proxy's port is open, or after that time; always exit 0
  llmcache probe         exit 0 if the proxy answers, or waits for its port
  llmcache --version";

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let first = arguments.first().map(String::as_str);
    let settings = Settings::from_env();
    match first {
        Some("wait") => wait::run(settings.proxy.port(), arguments.get(1).map(String::as_str)),
        Some("probe") => probe::run(settings.proxy.port(), settings.admin.port()),
        Some("proxy") => {
            log(settings.log_level);
            supervisor::end_with_parent();
            match pod::run(settings) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(%error, "the proxy cannot run");
                    ExitCode::FAILURE
                }
            }
        }
        Some(embedder::COMMAND) => match llmcache_semantic::embedding::child::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        None => {
            log(settings.log_level);
            supervisor::run()
        }
        Some("--version") => say(concat!("llmcache ", env!("CARGO_PKG_VERSION")), ExitCode::SUCCESS),
        Some("--help" | "-h" | "help") => say(USAGE, ExitCode::SUCCESS),
        Some(_) => say(USAGE, ExitCode::from(2)),
    }
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    use std::io::Write;
    // Whoever reads it may be gone.
    let _ = writeln!(std::io::stdout(), "{text}");
    code
}

/// Our own crates at the level asked for, libraries only when something is wrong.
fn log(level: LevelFilter) {
    let ours = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("llmcache", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}
