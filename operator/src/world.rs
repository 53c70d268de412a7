//! Where events become orders: one task owns the index, waits until things are quiet, plans, and publishes the result.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::index::{Change, Index};
use crate::plan::{Plan, Planner};
use crate::settings::Settings;

/// Changes that may wait before a watch has to.
pub const QUEUE: usize = 1_024;
/// Quiet time after which a plan is made.
const QUIET: Duration = Duration::from_millis(20);
/// Longest time that a busy cluster delays a plan.
const LONGEST: Duration = Duration::from_millis(250);

/// Everything known and ordered at one moment.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// What the watches saw.
    pub index: Index,
    /// What follows from it.
    pub plan: Plan,
    /// Whether every watch has told all there is once; before, nothing may be concluded from what is missing.
    pub is_complete: bool,
}

/// A world to read, and to be woken by.
pub type Worlds = watch::Receiver<Arc<World>>;

/// Takes changes in and publishes worlds, until no watch is left. `watches` is how many must have listed all there is.
pub async fn run(
    mut changes: mpsc::Receiver<Change>,
    worlds: watch::Sender<Arc<World>>,
    settings: Arc<Settings>,
    watches: usize,
) {
    let mut index = Index::default();
    let mut planner = Planner::default();
    while let Some(change) = changes.recv().await {
        index.apply(change);
        gather(&mut changes, &mut index).await;
        let is_complete = index.listed() >= watches;
        // A plan from half of the objects would take policies away.
        let plan = if is_complete {
            planner.plan(&index, &settings, Timestamp::now().as_millisecond())
        } else {
            Plan::default()
        };
        worlds.send_replace(Arc::new(World {
            index: index.clone(),
            plan,
            is_complete,
        }));
    }
}

/// Applies what else comes until it is quiet.
async fn gather(changes: &mut mpsc::Receiver<Change>, index: &mut Index) {
    let end = Instant::now() + LONGEST;
    loop {
        match timeout_at(end.min(Instant::now() + QUIET), changes.recv()).await {
            Ok(Some(change)) => index.apply(change),
            Ok(None) | Err(_) => return,
        }
    }
}
