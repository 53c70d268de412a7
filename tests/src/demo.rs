//! The player behind `make run`: a fake provider, the real binary beside it, traffic through both, and what it saved.
//!
//! A second fake provider hears every call as the client sent it, straight: its bill is the cost without llmcache,
//! and its answers are what the added latency is measured against.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

mod account;
mod agent;
mod children;
mod client;
mod invite;
mod paraphrases;
mod play;
mod support;
mod table;

use account::Account;
use children::{Launch, Sidecar};
use play::{Measured, Player};

use crate::fake::{Fake, FakeConfig};

/// What the command line asks for.
#[derive(Debug)]
pub struct Options {
    /// End after the table.
    pub once: bool,
    /// Folder of agent traces; absent = the support bot's sample.
    pub data: Option<PathBuf>,
    /// The binary under test; absent = the one beside the running program.
    pub binary: Option<PathBuf>,
    /// Folder of the example policies.
    pub policies: PathBuf,
}

/// Plays, prints the table and, unless asked to end there, serves until a signal; fails when ledger and bill differ.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let provider = Fake::start(fake_config()).await.context("cannot start the provider")?;
    let mut sidecar = start(&options, &provider).await?;
    let proxy = sidecar.proxy.clone();
    let shown = tokio::select! {
        () = stop.asked() => None,
        end = sidecar.ended() => bail!("the sidecar ended: {end}"),
        shown = show(&options, &provider, &proxy) => Some(shown),
    };
    let result = match shown {
        Some(Ok(())) if !options.once => serve(&mut stop, &mut sidecar).await,
        Some(result) => result,
        None => Ok(()),
    };
    sidecar.stop().await.and(result)
}

async fn start(options: &Options, provider: &Fake) -> anyhow::Result<Sidecar> {
    let binary = options.binary.clone().map_or_else(children::sibling_binary, Ok)?;
    let policy = options.policies.join(if options.data.is_some() {
        "agent-always.yaml"
    } else {
        "support-bot.yaml"
    });
    ensure!(
        policy.exists(),
        "{} is missing: name the folder with --policies",
        policy.display()
    );
    say(&format!("provider  {} (keeps its own bill)", provider.url()));
    let openai = format!("{}/v1", provider.url());
    let launch = Launch {
        binary: &binary,
        policy: &policy,
        anthropic: &provider.url(),
        openai: &openai,
        is_at_usual_ports: true,
    };
    let sidecar = Sidecar::start(launch).await?;
    say(&format!(
        "llmcache  {} under {} (admin {})",
        sidecar.proxy,
        policy.display(),
        sidecar.admin
    ));
    Ok(sidecar)
}

/// Plays the traffic and prints what came of it.
async fn show(options: &Options, provider: &Fake, proxy: &str) -> anyhow::Result<()> {
    let mirror = Fake::start(fake_config())
        .await
        .context("cannot start the second provider")?;
    let mut player = Player::open(proxy, provider, &mirror);
    let traces = options.data.as_deref().map(agent::Traces::read).transpose()?;
    match &traces {
        Some(traces) => traces.play(&mut player).await?,
        None => support::play(&mut player).await?,
    }
    let (account, measured) = player.finish().await?;
    print(&table::render(&account, &provider.bill(), &mirror.bill(), &measured))?;
    if traces.is_none() {
        let binary = options.binary.clone().map_or_else(children::sibling_binary, Ok)?;
        print(&paraphrases::play(&binary).await?)?;
    }
    if let Some(traces) = &traces {
        print(&table::agent_lines(&traces.facts(), &provider.bill(), &mirror.bill()))?;
    }
    check(&account, provider, &measured)
}

/// The ledger must equal the provider's bill to the nano-dollar, and every call must be in it.
fn check(account: &Account, provider: &Fake, measured: &Measured) -> anyhow::Result<()> {
    let (ledger, bill) = (account.usd.actual, account::Dollars(provider.bill().total.nanos.into()));
    ensure!(
        ledger == bill,
        "the ledger says {ledger} was paid, the provider's bill says {bill}"
    );
    ensure!(
        account.requests.total == measured.calls,
        "{} calls were made, the ledger has {}",
        measured.calls,
        account.requests.total
    );
    Ok(())
}

async fn serve(stop: &mut Stop, sidecar: &mut Sidecar) -> anyhow::Result<()> {
    print(&invite::lines(&sidecar.proxy, &sidecar.admin))?;
    tokio::select! {
        () = stop.asked() => Ok(()),
        end = sidecar.ended() => bail!("the sidecar ended: {end}"),
    }
}

fn fake_config() -> FakeConfig {
    FakeConfig {
        log: false,
        ..FakeConfig::default()
    }
}

/// A line for the person at the terminal.
fn say(line: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("stdout is closed")
}

/// Ctrl-C and SIGTERM, heard from the start so that neither leaves a child behind.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
