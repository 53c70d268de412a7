//! Clients that ask without pause through two sidecars on one store, and what came of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Call, Client, Launch, Sidecar, eventually, metric, policy};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::answers::{Question, answer};

/// What the clients of a column ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    /// What nobody has asked before.
    Miss,
    /// What the store has.
    Hit,
    /// Both, streamed.
    Stream,
}

/// What came of one column's requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) requests: usize,
    pub(crate) hits: usize,
    /// Neither status 200 nor whole.
    pub(crate) failed: usize,
    /// An answer to another question or of another credential.
    pub(crate) wrong: usize,
    pub(crate) first_problem: Option<String>,
    pub(crate) times: Vec<Duration>,
}

/// Both sidecars, the provider and the clients.
pub(crate) struct Traffic {
    fake: Fake,
    sidecars: [Sidecar; 2],
    record: Arc<Mutex<Record>>,
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Record {
    tallies: HashMap<Column, Tally>,
    /// Who was given the answer of which upstream call.
    given: HashMap<usize, Question>,
}

struct Asker {
    column: Column,
    credential: usize,
    sidecars: [Client; 2],
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// Clients of each column, each with a credential of its own.
const CLIENTS: usize = 2;
/// Stored questions of each credential; odd, so that each meets either sidecar in turn.
const STORED: usize = 151;
/// Requests of each column that pass before, during and after a fault at least.
const ENOUGH: usize = 100;

impl Column {
    pub(crate) const ALL: [Self; 3] = [Self::Miss, Self::Hit, Self::Stream];

    /// The `n`th question of one of its clients.
    fn question(self, credential: usize, n: usize) -> Question {
        let is_stored = self == Self::Hit || (self == Self::Stream && n.is_multiple_of(2));
        Question {
            text: if is_stored {
                format!("stored {}", n % STORED)
            } else {
                format!("{self:?} {n}")
            },
            credential,
            is_chat: if is_stored {
                (n % STORED).is_multiple_of(3)
            } else {
                n.is_multiple_of(3)
            },
            is_stream: self == Self::Stream,
        }
    }
}

impl Traffic {
    /// Starts all on a store, fills it, and lets the clients ask.
    pub(crate) async fn start(store: &str) -> anyhow::Result<Self> {
        let config = FakeConfig {
            event_chars: 2_048,
            log: false,
            ..FakeConfig::default()
        };
        let fake = Fake::start(config).await?;
        fake.set_answer(answer);
        let sidecars = [sidecar(&fake, store).await?, sidecar(&fake, store).await?];
        let mut traffic = Self {
            fake,
            sidecars,
            record: Arc::default(),
            is_over: Arc::default(),
            clients: Vec::new(),
        };
        traffic.reaches_the_store().await?;
        traffic.fill().await?;
        for column in Column::ALL {
            for credential in 0..CLIENTS {
                let asker = traffic.asker(column, credential);
                let (record, is_over) = (traffic.record.clone(), traffic.is_over.clone());
                traffic.clients.push(tokio::spawn(async move {
                    let mut n = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        asker.ask(n, &record).await;
                        n += 1;
                    }
                }));
            }
        }
        Ok(traffic)
    }

    /// Waits until each column has had enough further answers.
    pub(crate) async fn more(&self) -> anyhow::Result<()> {
        let count = |column| {
            self.record
                .lock()
                .tallies
                .get(&column)
                .map_or(0, |tally| tally.requests)
        };
        let before = Column::ALL.map(count);
        eventually("answers", async || {
            let now = Column::ALL.map(count);
            now.iter().zip(before).all(|(now, before)| *now >= before + ENOUGH)
        })
        .await
    }

    /// Waits until both sidecars have given the store up.
    pub(crate) async fn gives_the_store_up(&self) -> anyhow::Result<()> {
        self.breakers(1.0).await
    }

    /// Waits until both use the store.
    pub(crate) async fn reaches_the_store(&self) -> anyhow::Result<()> {
        self.breakers(0.0).await
    }

    /// Stops the clients; gives what came of each column, the provider's own time taken off.
    pub(crate) async fn end(self) -> anyhow::Result<Vec<(Column, Tally)>> {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.context("a client panicked")?;
        }
        let own = own_time(&self.fake).await?;
        let mut record = self.record.lock();
        let tally = |column| record.tallies.remove(&column).unwrap_or_default();
        let mut tallies: Vec<_> = Column::ALL.into_iter().map(tally).collect();
        for time in tallies.iter_mut().flat_map(|tally| &mut tally.times) {
            *time = time.saturating_sub(own);
        }
        Ok(Column::ALL.into_iter().zip(tallies).collect())
    }

    async fn breakers(&self, wanted: f64) -> anyhow::Result<()> {
        for sidecar in &self.sidecars {
            eventually("the breaker turns", async || {
                let page = sidecar.admin().send(&Call::get("/metrics")).await;
                let open = page.map(|page| metric(&page.text(), "llmcache_store_breaker_open", &["redis"]));
                open.is_ok_and(|open| (open - wanted).abs() < 0.5)
            })
            .await?;
        }
        Ok(())
    }

    /// Buys what the columns take as stored, and waits until the other sidecar finds the last of it.
    async fn fill(&self) -> anyhow::Result<()> {
        let record = Mutex::default();
        for credential in 0..CLIENTS {
            let mut asker = self.asker(Column::Hit, credential);
            asker.sidecars[1] = asker.sidecars[0].clone();
            for n in 0..STORED {
                asker.ask(n, &record).await;
            }
            let last = Column::Hit.question(credential, STORED - 1).call();
            let found = last.clone().header("cache-control", "only-if-cached");
            let again = last.header("cache-control", "no-cache");
            let (first, other) = (self.sidecars[0].client(), self.sidecars[1].client());
            eventually("it is stored", async || {
                let is_found = other.send(&found).await.is_ok_and(|reply| reply.is_hit());
                if !is_found {
                    // On a busy machine the store may have been away when it was bought; the next turn shows.
                    let _ = first.send(&again).await;
                }
                is_found
            })
            .await?;
        }
        self.record.lock().given = record.into_inner().given;
        Ok(())
    }

    fn asker(&self, column: Column, credential: usize) -> Asker {
        let sidecars = [self.sidecars[0].client(), self.sidecars[1].client()];
        Asker {
            column,
            credential,
            sidecars,
        }
    }
}

impl Asker {
    async fn ask(&self, n: usize, record: &Mutex<Record>) {
        let question = self.column.question(self.credential, n);
        let began = Instant::now();
        let reply = self.sidecars[n % 2].send(&question.call()).await;
        let time = began.elapsed();
        let mut record = record.lock();
        let Record { tallies, given } = &mut *record;
        let tally = tallies.entry(self.column).or_default();
        tally.requests += 1;
        tally.times.push(time);
        let problem = match reply {
            Err(error) => Some((&mut tally.failed, format!("{error:#}"))),
            Ok(reply) if reply.status != 200 => Some((&mut tally.failed, format!("{} {}", reply.status, reply.text()))),
            Ok(reply) => {
                tally.hits += usize::from(reply.is_hit());
                match question.number(&reply) {
                    Err(error) => Some((&mut tally.wrong, format!("{error:#}"))),
                    Ok(number) => {
                        let first = given.entry(number).or_insert_with(|| question.clone());
                        let is_its_own = first.text == question.text && first.credential == question.credential;
                        let crossed = || format!("{question:?} was given the answer to {first:?}");
                        (!is_its_own).then(|| (&mut tally.wrong, crossed()))
                    }
                }
            }
        };
        if let Some((counter, problem)) = problem {
            *counter += 1;
            tally.first_problem.get_or_insert(problem);
        }
    }
}

async fn sidecar(fake: &Fake, store: &str) -> anyhow::Result<Sidecar> {
    let text = policy("  promptCache: {mode: Disabled}\n  resultCache: {mode: Enforce, memory: 1Mi}");
    let mut launch = Launch::new(text, fake.url()).args(["--redis", store]);
    launch.secret = Some(SECRET.to_vec());
    launch.start().await
}

/// The provider's median time for a question, asked directly.
async fn own_time(fake: &Fake) -> anyhow::Result<Duration> {
    let client = Client::new(&fake.url());
    let mut times = Vec::new();
    for n in 0..51 {
        let body = llmcache_tests::kit::question("claude-haiku-5-5", &format!("direct {n}"));
        let call = Call::post("/v1/messages", body.to_string()).header("x-api-key", "key");
        let began = Instant::now();
        client.send(&call.header("anthropic-version", "2023-06-01")).await?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
