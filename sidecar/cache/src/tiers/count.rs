//! Counts what a ban matches in memory and frees it, within a budget.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::time::Instant;

use crate::bans::Bans;
use crate::memory::Memory;
use crate::redis::{Sweep, Swept};

/// Entries visited between two looks at the clock.
pub(super) const STRIDE: u64 = 64;

/// Counts on a blocking thread, for a full tier may take all of the budget; true when every entry was visited.
pub(super) async fn in_memory(memory: Memory, bans: Arc<Bans>, sweep: Sweep, swept: Swept, end: Instant) -> bool {
    tokio::task::spawn_blocking(move || until(&memory, &bans, &sweep, &swept, end))
        .await
        .unwrap_or(false)
}

pub(super) fn until(memory: &Memory, bans: &Bans, sweep: &Sweep, swept: &Swept, end: Instant) -> bool {
    let mut visited = 0_u64;
    let visit = memory.visit(|key, entry| {
        let is_meant = !entry.is_dead(sweep.now_ms) && sweep.live.matches(entry) && bans.forbid(entry) != sweep.is_dry;
        if is_meant {
            if let Some(found) = &mut *swept.lock() {
                found.insert(*key);
            }
            if !sweep.is_dry {
                memory.remove_entry(key, entry);
            }
        }
        visited += 1;
        if visited.is_multiple_of(STRIDE) && Instant::now() >= end {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    visit.is_continue()
}
