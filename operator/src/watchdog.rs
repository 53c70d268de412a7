//! What should be and is not: pods without the sidecar they ask for, policies that do not exist, sidecars that nobody
//! calls, pods refused for their sidecar. The leader says each on the object that people would look at, with the fix.

use std::time::Duration;

use jiff::Timestamp;
use prometheus::IntGauge;
use tokio::time::{MissedTickBehavior, interval};

use crate::events::Notices;
use crate::lease::Leadership;
use crate::sidecars::Sidecars;
use crate::world::Worlds;

mod find;
mod fix;
mod refused;
#[cfg(test)]
mod tests;

pub use find::{Finding, Kind, Watchdog};
pub use refused::{refusal, watch_refused};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(10);

/// What looking needs.
#[derive(Clone, Debug)]
pub struct Duty {
    /// What every sidecar said.
    pub sidecars: Sidecars,
    /// Whether this replica leads; asked before each write.
    pub leads: Leadership,
    /// Where Events are left.
    pub notices: Notices,
    /// `uninjected_pods`: pods that ask for a sidecar and have none for more than 45 s.
    pub uninjected: IntGauge,
    /// `injected_without_traffic`: sidecars connected for more than 10 min that nobody has called.
    pub without_traffic: IntGauge,
}

/// Looks every ten seconds while this replica leads, until the world ends.
pub async fn run(worlds: Worlds, duty: Duty) {
    let mut watchdog = Watchdog::default();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if worlds.has_changed().is_err() {
            return;
        }
        let world = worlds.borrow().clone();
        if !duty.leads.is_leader() || !world.is_complete {
            watchdog = Watchdog::default();
            duty.uninjected.set(0);
            duty.without_traffic.set(0);
            continue;
        }
        let now_ms = Timestamp::now().as_millisecond();
        let findings = watchdog.find(&world, &duty.sidecars.all(now_ms), now_ms);
        duty.uninjected.set(pods(&findings, Kind::InjectionMissing));
        duty.without_traffic.set(pods(&findings, Kind::NoTraffic));
        for finding in findings {
            duty.notices.tell(finding.notice());
        }
    }
}

fn pods(findings: &[Finding], kind: Kind) -> i64 {
    let found = findings.iter().filter(|finding| finding.kind == kind);
    i64::try_from(found.map(|finding| finding.pods).sum::<usize>()).unwrap_or(i64::MAX)
}
