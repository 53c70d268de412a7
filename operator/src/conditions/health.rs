//! The condition `Healthy`: what sidecars report, over an hour, and only when it lasted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use llmcache_crds::status::{condition, reason};
use llmcache_policy::push::Report;

use super::Said;

/// How long a state must last before the condition says so, milliseconds.
const LASTS_MS: i64 = 600_000;
/// A loss below this is noise, nano-dollars an hour: one cent.
const LEAST_LOSS: i64 = 10_000_000;

/// What the condition of one policy says, and what it is about to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    is_begun: bool,
    said: Option<Ill>,
    next: Option<(Option<Ill>, i64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Ill {
    reason: &'static str,
    message: String,
}

impl Health {
    /// Goes on, the first time, from what the leader before said: it knew for how long.
    pub(super) fn recall(&mut self, before: &[Condition]) {
        if std::mem::replace(&mut self.is_begun, true) {
            return;
        }
        let said = before
            .iter()
            .find(|known| known.type_ == condition::HEALTHY && known.status == "False");
        let ills = [reason::FALSE_HIT_BUDGET, reason::NET_LOSS, reason::STORE_UNREACHABLE];
        self.said = said.and_then(|said| {
            let reason = ills.into_iter().find(|ill| *ill == said.reason)?;
            let message = said.message.clone();
            Some(Ill { reason, message })
        });
    }

    /// What the condition says now: a state counts after it lasted ten minutes.
    pub(super) fn judge<'a>(&mut self, reports: impl Iterator<Item = &'a Report>, now_ms: i64) -> Said {
        let seen = examine(reports);
        let kind = |ill: &Option<Ill>| ill.as_ref().map(|ill| ill.reason);
        if kind(&seen) == kind(&self.said) {
            self.said = seen;
            self.next = None;
        } else {
            let since = match &self.next {
                Some((next, since)) if kind(next) == kind(&seen) => *since,
                _ => now_ms,
            };
            if now_ms - since >= LASTS_MS {
                self.said = seen;
                self.next = None;
            } else {
                self.next = Some((seen, since));
            }
        }
        let (status, reason, message) = match &self.said {
            None => (
                "True",
                reason::HEALTHY,
                "stores answer and no layer costs more than it saves".to_owned(),
            ),
            Some(ill) => ("False", ill.reason, ill.message.clone()),
        };
        Said {
            kind: condition::HEALTHY,
            status,
            reason,
            message,
        }
    }
}

/// The worst that is wrong now.
fn examine<'a>(reports: impl Iterator<Item = &'a Report>) -> Option<Ill> {
    let (mut closed, mut unreachable, mut all) = (0, 0, 0);
    let mut balance: i64 = 0;
    let mut overhead: i64 = 0;
    for report in reports {
        all += 1;
        closed += usize::from(report.layers.iter().any(|layer| layer.state == "OverBudget"));
        unreachable += usize::from(report.stores.iter().any(|store| !store.is_reachable));
        if let Some(window) = &report.window {
            balance = balance.saturating_add(window.saved_nano_usd.saturating_sub(window.overhead_nano_usd));
            overhead = overhead.saturating_add(window.overhead_nano_usd);
        }
    }
    if closed > 0 {
        return Some(Ill {
            reason: reason::FALSE_HIT_BUDGET,
            message: format!("in {closed} of {all} sidecars a layer served more wrong answers than its budget allows"),
        });
    }
    if overhead > 0 && balance < -LEAST_LOSS {
        return Some(Ill {
            reason: reason::NET_LOSS,
            message: "over the last hour the layers cost more than they saved: see the dashboard Savings".into(),
        });
    }
    (unreachable > 0).then(|| Ill {
        reason: reason::STORE_UNREACHABLE,
        message: format!("{unreachable} of {all} sidecars cannot reach a shared store: they serve without it"),
    })
}

#[cfg(test)]
mod tests {
    use llmcache_policy::push::{Store, Window};

    use super::*;

    fn report(is_reachable: bool, saved: i64, overhead: i64) -> Report {
        Report {
            stores: vec![Store {
                name: "redis".into(),
                is_reachable,
            }],
            window: Some(Window {
                saved_nano_usd: saved,
                overhead_nano_usd: overhead,
                ..Window::default()
            }),
            ..Report::default()
        }
    }

    #[test]
    fn a_state_counts_once_it_lasted_and_ends_likewise() {
        let mut health = Health::default();
        let (well, ill) = ([report(true, 0, 0)], [report(true, 0, 0), report(false, 0, 0)]);
        let mut at = |reports: &[Report], now_ms| health.judge(reports.iter(), now_ms).reason;
        assert_eq!(at(&ill, 0), reason::HEALTHY);
        assert_eq!(at(&ill, LASTS_MS - 1), reason::HEALTHY);
        assert_eq!(at(&ill, LASTS_MS), reason::STORE_UNREACHABLE);
        assert_eq!(at(&well, LASTS_MS + 1), reason::STORE_UNREACHABLE);
        // A relapse begins the wait anew.
        assert_eq!(at(&ill, LASTS_MS + 2), reason::STORE_UNREACHABLE);
        assert_eq!(at(&well, LASTS_MS + 3), reason::STORE_UNREACHABLE);
        assert_eq!(at(&well, 2 * LASTS_MS + 2), reason::STORE_UNREACHABLE);
        assert_eq!(at(&well, 2 * LASTS_MS + 3), reason::HEALTHY);
    }

    #[test]
    fn a_loss_is_what_all_sidecars_lose_together() {
        let mut health = Health::default();
        let winners = [report(true, 500_000_000, 1), report(true, 0, 100_000_000)];
        health.judge(winners.iter(), 0);
        assert_eq!(health.judge(winners.iter(), LASTS_MS).reason, reason::HEALTHY);
        let losers = [report(true, 1, 1), report(true, 0, 100_000_000)];
        health.judge(losers.iter(), LASTS_MS);
        assert_eq!(health.judge(losers.iter(), 2 * LASTS_MS).reason, reason::NET_LOSS);
    }

    #[test]
    fn the_next_leader_goes_on_from_what_was_said() {
        let mut health = Health::default();
        let ill = [report(false, 0, 0)];
        health.judge(ill.iter(), 0);
        let said = health.judge(ill.iter(), LASTS_MS).condition(Some(1), &[], LASTS_MS);
        let mut next = Health::default();
        next.recall(std::slice::from_ref(&said));
        // Before the sidecars are heard nothing is known to be wrong, and that has to last as well.
        assert_eq!(next.judge([].iter(), 0).reason, reason::STORE_UNREACHABLE);
        assert_eq!(next.judge(ill.iter(), LASTS_MS).reason, reason::STORE_UNREACHABLE);
        next.recall(&[]);
        assert_eq!(next.judge(ill.iter(), LASTS_MS).reason, reason::STORE_UNREACHABLE);
    }
}
