//! Bans under way on one connection: a few at once, each answered, and what could not be done is tried again until it
//! is, since the operator tells each but once.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use llmcache_policy::push::{Ban, BanResult};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Bans put in force at once, and most that wait.
const AT_ONCE: usize = 4;
const MAX_BANS: usize = 1_024;
/// Time before one that failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);

type Doing = Pin<Box<dyn Future<Output = BanResult> + Send>>;

/// The bans of a connection.
pub(super) struct Bans {
    obey: Arc<dyn Fn(Ban) -> Doing + Send + Sync>,
    at_once: Arc<Semaphore>,
    under_way: JoinSet<(Ban, Option<BanResult>, BanResult)>,
    failed: VecDeque<Failed>,
}

struct Failed {
    ban: Ban,
    result: BanResult,
    due: Instant,
}

impl Bans {
    /// None yet; `obey` does what one says.
    pub(super) fn new<F>(obey: impl Fn(Ban) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = BanResult> + Send + 'static,
    {
        Self {
            obey: Arc::new(move |ban| Box::pin(obey(ban))),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            under_way: JoinSet::new(),
            failed: VecDeque::new(),
        }
    }

    /// Takes one on; gives an answer at once where too many wait.
    pub(super) fn take(&mut self, ban: Ban) -> Option<BanResult> {
        if self.under_way.len() + self.failed.len() >= MAX_BANS {
            return Some(BanResult {
                id: ban.id,
                error: format!("more than {MAX_BANS} bans wait here; tell it again"),
                ..BanResult::default()
            });
        }
        self.failed.retain(|failed| failed.ban.id != ban.id);
        self.begin(ban, None);
        None
    }

    /// The next answer that says something new; none while nothing is under way.
    pub(super) async fn next(&mut self) -> Option<BanResult> {
        loop {
            let (ban, before, result) = match self.under_way.join_next().await? {
                Ok(done) => done,
                Err(error) => {
                    tracing::error!(%error, "a ban broke down; it is obeyed when it is told again");
                    continue;
                }
            };
            if !result.error.is_empty() {
                self.failed.push_back(Failed {
                    ban,
                    result: result.clone(),
                    due: Instant::now() + AGAIN,
                });
            }
            if before.as_ref() != Some(&result) {
                return Some(result);
            }
        }
    }

    /// Tries again what failed and is due.
    pub(super) fn retry(&mut self) {
        let now = Instant::now();
        while let Some(failed) = self.failed.pop_front_if(|failed| failed.due <= now) {
            self.begin(failed.ban, Some(failed.result));
        }
    }

    fn begin(&mut self, ban: Ban, before: Option<BanResult>) {
        let (obey, at_once) = (self.obey.clone(), self.at_once.clone());
        self.under_way.spawn(async move {
            // It is never closed.
            let _turn = at_once.acquire_owned().await;
            let result = obey(ban.clone()).await;
            (ban, before, result)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn ban(id: &str) -> Ban {
        Ban {
            id: id.into(),
            ..Ban::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_again_until_it_is_done_and_said_when_it_is_news() {
        let tries = Arc::new(AtomicUsize::new(0));
        let mut bans = Bans::new(move |ban: Ban| {
            let is_done = tries.fetch_add(1, Ordering::Relaxed) == 3;
            let error = if is_done { "" } else { "the store is away" };
            std::future::ready(BanResult {
                id: ban.id,
                error: error.into(),
                ..BanResult::default()
            })
        });
        assert_eq!(bans.take(ban("a")), None);
        assert_eq!(bans.next().await.unwrap().error, "the store is away");
        bans.retry();
        assert_eq!(bans.next().await, None, "it is too early");
        for _ in 0..2 {
            tokio::time::advance(AGAIN).await;
            bans.retry();
            assert_eq!(bans.next().await, None, "that was said");
        }
        tokio::time::advance(AGAIN).await;
        bans.retry();
        assert_eq!(bans.next().await.unwrap().error, "");
        tokio::time::advance(AGAIN).await;
        bans.retry();
        assert_eq!(bans.next().await, None, "it is done");
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let mut bans = Bans::new(|_| std::future::pending());
        for at in 0..MAX_BANS {
            assert_eq!(bans.take(ban(&at.to_string())), None);
        }
        assert!(bans.take(ban("more")).unwrap().error.contains("tell it again"));
    }
}
