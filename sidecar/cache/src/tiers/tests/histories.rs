//! Random histories of several processes on one real store: clients ask, ban, crash, lose the store and disagree about
//! the time, and a referee who knows what truly happened judges every answer that is served.
//!
//! `LLMCACHE_HISTORIES` is how many are played (1 000 by default); a failure names the seed that repeats it, as far as
//! scheduling allows: `LLMCACHE_HISTORIES_SEED=N` plays from there.

use std::io::Write as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::redis::tests::server::Server;

mod client;
mod dice;
mod referee;
mod wire;
mod world;

use dice::Dice;
use referee::Verdict;
use world::World;

/// How many are played at once: they mostly wait.
const AT_ONCE: usize = 24;
/// Clients of one history, and what each does.
const CLIENTS: u64 = 5;
const STEPS: usize = 12;

/// Times in milliseconds: a lease that a history outlives, and answers that outlive it.
const LEASE: Duration = Duration::from_millis(60);
const TTL: Duration = Duration::from_millis(150);
const KEEP: Duration = Duration::from_millis(300);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

async fn play(server: &Server, seed: u64) -> Verdict {
    let world = World::new(server, seed).await;
    let clients = (0..CLIENTS).map(|client| {
        let mut dice = Dice::new(seed ^ (client + 1) << 48);
        let world = &world;
        async move {
            for _ in 0..STEPS {
                client::step(world, &mut dice).await;
            }
        }
    });
    futures_util::future::join_all(clients).await;
    world.referee.verdict()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_history_serves_what_is_banned_too_old_or_anothers() {
    let server = Server::start().await;
    let (first, count) = (
        number("LLMCACHE_HISTORIES_SEED", 1),
        number("LLMCACHE_HISTORIES", 1_000),
    );
    let mut verdicts = stream::iter(first..first + count)
        .map(|seed| {
            let server = &server;
            async move { (seed, play(server, seed).await) }
        })
        .buffer_unordered(AT_ONCE);
    let mut sum = Verdict::default();
    while let Some((seed, verdict)) = verdicts.next().await {
        assert!(verdict.crimes.is_empty(), "seed {seed}: {:#?}", verdict.crimes);
        sum.add(&verdict);
    }
    // Not by the macro, whose output a test that passes keeps to itself.
    writeln!(std::io::stdout(), "{count} histories: {sum:?}").unwrap();
    // Without these a history proves nothing.
    assert!(sum.served > count && sum.served_by_others > count / 2, "{sum:?}");
    assert!(
        sum.killed > count / 2 && sum.bans > count && sum.crashes > count / 2,
        "{sum:?}"
    );
    assert!(sum.too_old > count / 10, "{sum:?}");
}
