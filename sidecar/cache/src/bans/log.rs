//! One log of bans as this process knows it: an identity, the last epoch, and the bans in rising order of epoch.

use std::collections::VecDeque;

use super::{LIVE_MAX, Live, Stamp};
use crate::entry::Entry;

/// What a reader of a shared log brings: all of it, or what followed the last page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Identity of the log.
    pub(crate) log: u64,
    /// The last epoch before these bans; `None` = these are all.
    pub(crate) after: Option<u64>,
    /// The last epoch with them, also where a record could not be read.
    pub(crate) epoch: u64,
    /// In rising order.
    pub(crate) bans: Vec<(u64, Live)>,
}

#[derive(Debug)]
pub(super) struct Log {
    id: u64,
    epoch: u64,
    /// In rising order of epoch; the front may stand for many merged ones.
    live: VecDeque<Learnt>,
}

#[derive(Debug)]
struct Learnt {
    epoch: u64,
    version: u64,
    live: Live,
}

impl Page {
    /// All of a log in which there is no ban.
    pub(crate) fn first(log: u64) -> Self {
        Self {
            log,
            after: None,
            epoch: 0,
            bans: Vec::new(),
        }
    }

    pub(super) fn is_nothing_new(&self) -> bool {
        self.after == Some(self.epoch)
    }
}

impl Log {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            epoch: 0,
            live: VecDeque::new(),
        }
    }

    pub(super) fn from_page(page: Page, version: u64) -> Self {
        let mut log = Self::new(page.log);
        log.append(page, version);
        log
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp {
            log: self.id,
            epoch: self.epoch,
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<Stamp> {
        let named = self.live.iter().rev().find(|ban| ban.live.id.as_deref() == Some(id))?;
        Some(Stamp {
            log: self.id,
            epoch: named.epoch,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) fn is_continued_by(&self, page: &Page) -> bool {
        page.log == self.id && page.after == Some(self.epoch)
    }

    pub(super) fn append(&mut self, page: Page, version: u64) {
        for (epoch, live) in page.bans {
            self.live.push_back(Learnt { epoch, version, live });
            self.merge_oldest();
        }
        self.epoch = page.epoch;
    }

    pub(super) fn issue(&mut self, live: Live, version: u64) -> Stamp {
        self.epoch += 1;
        let epoch = self.epoch;
        self.live.push_back(Learnt { epoch, version, live });
        self.merge_oldest();
        self.stamp()
    }

    /// Whether a ban later than the entry, and learnt after `cleared`, matches it.
    pub(super) fn forbids(&self, entry: &Entry, cleared: u64) -> bool {
        let later = self.live.iter().rev().take_while(|ban| ban.epoch > entry.stamp.epoch);
        later
            .filter(|ban| ban.version > cleared)
            .any(|ban| ban.live.matches(entry))
    }

    fn merge_oldest(&mut self) {
        if self.live.len() > LIVE_MAX
            && let (Some(oldest), Some(next)) = (self.live.pop_front(), self.live.pop_front())
        {
            self.live.push_front(Learnt {
                epoch: next.epoch,
                version: next.version,
                live: oldest.live.merge(next.live),
            });
        }
    }
}
