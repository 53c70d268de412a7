//! `local`: one sidecar in this process, with a policy from a file and stores in process.
//!
//! Everything that can be judged before it binds is judged here, all at once; a dead store is not.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use llmcache_operator::compile;
use llmcache_operator::validate::{Validated, local_warnings};
use llmcache_sidecar::config::Config;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::failure::Failure;
use crate::output::complain;

pub(crate) mod policy;
pub(crate) mod prices;
mod secret;
mod store;
mod upstream;

/// Run the sidecar here: point a program's base URL at it and keep the rest as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Base URLs: http://LISTEN/anthropic and http://LISTEN/openai/v1.\n\
    When it serves, one line on stdout: llmcache ready proxy=http://... admin=http://...\n\
    Exit codes: 0 stopped by a signal, 1 problems in the policy, 2 usage.")]
pub(crate) struct Args {
    /// Policy file, YAML or JSON, holding one policy; `-` is stdin.
    #[arg(short = 'f', long = "policy", value_name = "POLICY", env = "LLMCACHE_POLICY")]
    policy: PathBuf,
    /// Namespace that stored answers are sealed for. Default: the policy's, else `default`.
    #[arg(long, value_name = "NAME", env = "LLMCACHE_NAMESPACE")]
    namespace: Option<String>,
    /// IP address and port of the proxy; port 0 is any free one.
    #[arg(long, value_name = "ADDRESS", env = "LLMCACHE_LISTEN", default_value = "127.0.0.1:15480", value_parser = address)]
    listen: SocketAddr,
    /// IP address and port of /livez, /readyz and /metrics; port 0 is any free one.
    #[arg(long, value_name = "ADDRESS", env = "LLMCACHE_ADMIN", default_value = "127.0.0.1:15490", value_parser = address)]
    admin: SocketAddr,
    /// Shared store: `redis://[user:password@]host[:port][/database]`,
    /// `redis+sentinel://[user:password@]host[:port],.../MASTER[/database]` (port 26379) or
    /// `redis+cluster://[user:password@]host[:port],...`; `rediss` for TLS in each.
    /// Default: none, answers stay in process.
    #[arg(long, value_name = "URL", env = "LLMCACHE_REDIS", hide_env_values = true)]
    redis: Option<String>,
    /// Certificates (PEM) that a store with TLS is trusted by, instead of the system's roots.
    #[arg(long, value_name = "FILE", env = "LLMCACHE_REDIS_CA")]
    redis_ca: Option<PathBuf>,
    /// Shared index of the semantic cache, used beside --redis, which keeps the answers: `http[s]://[KEY@]host[:port]`
    /// (gRPC, port 6334). Default: none, questions are compared within this process.
    #[arg(long, value_name = "URL", env = "LLMCACHE_QDRANT", hide_env_values = true)]
    qdrant: Option<String>,
    /// File of at least 32 secret bytes that keys are derived from; made on first use, readable by you alone.
    /// Default: `$XDG_STATE_HOME/llmcache/secret`, else `~/.local/state/llmcache/secret`.
    #[arg(long, value_name = "FILE", env = "LLMCACHE_SECRET_FILE")]
    secret_file: Option<PathBuf>,
    /// The secret file before this one: what was stored under it is still read, and bans still reach it. First give every
    /// process both files the old way round, then exchange them.
    #[arg(long, value_name = "FILE", env = "LLMCACHE_PREVIOUS_SECRET_FILE")]
    previous_secret_file: Option<PathBuf>,
    /// Folder of the semantic cache's model, as `make run` makes it. Without it that layer is off.
    #[arg(long, value_name = "FOLDER", env = "LLMCACHE_MODEL_DIR")]
    model: Option<PathBuf>,
    /// Price file (JSON, dollars per million tokens) whose rows replace the shipped ones of the same provider and id.
    #[arg(long, value_name = "FILE", env = "LLMCACHE_PRICES")]
    prices: Option<PathBuf>,
    /// Where Anthropic requests go instead of the policy's URL: the SDK's base URL, without /v1.
    #[arg(long, value_name = "URL", env = "LLMCACHE_ANTHROPIC_UPSTREAM")]
    anthropic_upstream: Option<String>,
    /// Where OpenAI requests go instead of the policy's URL: the SDK's base URL, with /v1. The policy's dialect stays.
    #[arg(long, value_name = "URL", env = "LLMCACHE_OPENAI_UPSTREAM")]
    openai_upstream: Option<String>,
    /// Seconds that open requests and streams may take to finish after SIGTERM or Ctrl-C.
    #[arg(long, value_name = "SECONDS", env = "LLMCACHE_GRACE", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    grace: u64,
    /// Least important log line written to stderr; prompts and answers are in none.
    #[arg(long, value_name = "LEVEL", env = "LLMCACHE_LOG_LEVEL", default_value = "info")]
    log_level: LogLevel,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Judges one value; gives it as the sidecar uses it.
type Check = fn(&str) -> Result<String, String>;

/// Runs until a signal.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let config = config(args)?;
    log(args.log_level);
    serve(config)
}

/// The one place where the sidecar starts.
fn serve(config: Config) -> Result<(), Failure> {
    llmcache_sidecar::run::run(config).map_err(|error| Failure::usage(error.to_string()))
}

/// Our own crates at the level asked for, libraries only when something is wrong.
fn log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let ours = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("llmcache", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}

fn config(args: &Args) -> Result<Config, Failure> {
    let policy = policy(args)?;
    let mut snapshot = compile(&policy);
    let mut problems = Vec::new();
    // Only the address moves: what may be spliced is what the policy says or its own address implies.
    let upstreams = &mut snapshot.upstreams;
    for (url, given, check) in [
        (
            &mut upstreams.anthropic.url,
            &args.anthropic_upstream,
            upstream::anthropic as Check,
        ),
        (&mut upstreams.openai.url, &args.openai_upstream, upstream::openai),
        (&mut snapshot.identity.namespace, &args.namespace, namespace),
    ] {
        match given.as_deref().map(check) {
            None => {}
            Some(Ok(value)) => *url = value,
            Some(Err(problem)) => problems.push(problem),
        }
    }
    let prices = prices::read(args.prices.as_deref()).map_err(|failure| match failure {
        Failure::Problems(lines) | Failure::Unreachable(lines) | Failure::Usage(lines) => problems.extend(lines),
    });
    let secret = secret::read(args.secret_file.as_deref()).map_err(|problem| problems.push(problem));
    let previous_secret = args.previous_secret_file.as_deref().map(secret::previous).transpose();
    let previous_secret = previous_secret.map_err(|problem| problems.push(problem));
    let redis = store::read(args.redis.as_deref(), args.redis_ca.as_deref());
    let redis = redis.map_err(|found| problems.extend(found));
    let qdrant = store::index(args.qdrant.as_deref(), args.redis.is_some());
    let qdrant = qdrant.map_err(|problem| problems.push(problem));
    let (Ok(prices), Ok(secret), Ok(previous_secret), Ok(redis), Ok(qdrant), true) =
        (prices, secret, previous_secret, redis, qdrant, problems.is_empty())
    else {
        return Err(Failure::Usage(problems));
    };
    for address in [args.listen, args.admin]
        .iter()
        .filter(|address| !address.ip().is_loopback())
    {
        complain(&format!("warning: {address} can be reached from other machines"));
    }
    Ok(Config {
        namespace: snapshot.identity.namespace.clone(),
        snapshot,
        listen: args.listen,
        admin: args.admin,
        redis,
        qdrant,
        secret,
        previous_secret,
        prices,
        model: args.model.clone(),
        state: secret::folder(args.secret_file.as_deref()),
        grace: Duration::from_secs(args.grace),
    })
}

/// The one policy of the file, its warnings told.
fn policy(args: &Args) -> Result<Validated, Failure> {
    let (policy, warnings) = policy::read(&args.policy)?;
    let file = args.policy.display();
    for warning in warnings.iter().chain(&local_warnings(&policy)) {
        complain(&format!("warning: {file}: {warning}"));
    }
    Ok(policy)
}

/// A namespace is a DNS label, as in a cluster.
fn namespace(name: &str) -> Result<String, String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = (1..=63).contains(&name.len()) && name.chars().all(is_inner) && name.trim_matches('-') == name;
    if is_label {
        Ok(name.to_owned())
    } else {
        Err("--namespace: not a namespace's name; write 1 to 63 of a-z, 0-9 and inner -".into())
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:15480".into())
}
