//! What the container's memory limit leaves for what: half of it for caches, and a quarter for all buffered request
//! bodies, beyond which a body streams through.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use llmcache_policy::Snapshot;

/// Used where no limit is set or readable.
const DEFAULT_LIMIT: usize = 1 << 30;
/// cgroup v2, then v1.
const LIMIT_FILES: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// Bytes that buffered bodies may still take.
#[derive(Clone)]
pub(crate) struct Budget(Arc<AtomicUsize>);

/// Bytes taken from the budget; given back on drop.
pub(crate) struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// A quarter of the container's memory limit.
    pub(crate) fn of_container() -> Self {
        Self::new(container_limit().unwrap_or(DEFAULT_LIMIT) / 4)
    }

    /// So many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// An empty reservation to grow.
    pub(crate) fn open(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

impl Reservation {
    /// Takes `bytes` more; false = the budget is spent and nothing was taken.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let left = &self.budget.0;
        let taken = left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes))
            .is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    /// Hands over what was taken so far.
    pub(crate) fn take(&mut self) -> Self {
        let empty = self.budget.open();
        std::mem::replace(self, empty)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

/// What the questions of the semantic cache may take: an eighth, at most 64 MiB (about 30 000 questions).
pub(crate) fn index_bytes(limit: Option<usize>) -> usize {
    (limit.unwrap_or(DEFAULT_LIMIT) / 8).min(64 << 20)
}

/// The container's memory limit in bytes; none = there is none, or none that can be read.
pub(crate) fn container_limit() -> Option<usize> {
    LIMIT_FILES.iter().find_map(|file| read_limit(file))
}

/// Lowers caches to half of a memory limit; says what was lowered.
pub(crate) fn clamp(snapshot: &mut Snapshot, limit: usize) -> Vec<String> {
    let most = (limit / 2) as u64;
    let asked = snapshot.result_cache.memory_bytes;
    if asked <= most {
        return Vec::new();
    }
    snapshot.result_cache.memory_bytes = most;
    let mebibytes = |bytes: u64| bytes >> 20;
    vec![format!(
        "resultCache.memory: {}Mi is lowered to {}Mi, half of the sidecar's memory limit",
        mebibytes(asked),
        mebibytes(most)
    )]
}

/// `max` (v2) and the page-rounded maximum (v1) mean no limit.
fn read_limit(file: &str) -> Option<usize> {
    let limit: usize = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (limit < 1 << 50).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_get_at_most_half_of_the_limit_and_say_so() {
        let mut snapshot = Snapshot::pass_through();
        snapshot.result_cache.memory_bytes = 128 << 20;
        assert_eq!(clamp(&mut snapshot, 256 << 20), Vec::<String>::new());
        assert_eq!(
            clamp(&mut snapshot, 64 << 20),
            ["resultCache.memory: 128Mi is lowered to 32Mi, half of the sidecar's memory limit"]
        );
        assert_eq!(snapshot.result_cache.memory_bytes, 32 << 20);
    }

    #[test]
    fn budget_is_given_back_on_drop_and_never_overdrawn() {
        let budget = Budget::new(100);
        let mut first = budget.open();
        assert!(first.grow(60) && !first.grow(41) && first.grow(40));
        let mut second = budget.open();
        assert!(!second.grow(1));
        drop(first);
        assert!(second.grow(100));
    }
}
