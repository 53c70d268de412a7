//! Cells: sealed values that many processes change, each by putting a new one in the place of the very one it has seen.
//!
//! No ban reaches them, and nothing may be put into one that is an answer. What cannot be opened counts as absent, and
//! may be replaced.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::Script;

use super::names::Domain;
use super::{Failure, Store};
use crate::budget::{Deadline, StoreStats};
use crate::seal::Keys;

/// Longest sealed value of a cell in bytes.
pub const CELL_MAX: usize = 64 << 10;

/// How long a cell is kept after it was last changed.
const LIFE: Duration = Duration::from_hours(90 * 24);
const AAD: &[u8] = b"cell";

static SWAP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("cells/swap.lua")));

/// The cells of one policy; clones share the store.
#[derive(Debug, Clone)]
pub struct Cells {
    store: Arc<Store>,
}

/// What was seen under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// What is kept; empty where it was not ours.
    pub value: Vec<u8>,
    /// As it lies under the newest name, to be compared with.
    sealed: Vec<u8>,
}

/// The store did not answer in time, or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store did not answer")]
pub struct Silent;

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swapped {
    /// It is what is kept now.
    Done(Cell),
    /// Another process was faster: read again.
    Other,
}

impl Cells {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// What is kept under a name; under the previous key where the newest has nothing. A value that is not ours is empty.
    pub async fn read(&self, keys: &Keys, deadline: Deadline) -> Result<Option<Cell>, Silent> {
        let newest = self.store.newest();
        let sealed = self.fetch(&newest.cell(&keys.newest), deadline).await?;
        if !sealed.is_empty() {
            let value = self.open(newest, &newest.cell(&keys.newest), &sealed);
            return Ok(Some(Cell { value, sealed }));
        }
        let (Some(domain), Some(previous)) = (self.store.domains.get(1), &keys.previous) else {
            return Ok(None);
        };
        let name = domain.cell(previous);
        let before = self.fetch(&name, deadline).await?;
        Ok((!before.is_empty()).then(|| Cell {
            value: self.open(domain, &name, &before),
            sealed: Vec::new(),
        }))
    }

    /// Keeps `value` if what lies there is still what was seen; `None` = nothing was.
    pub async fn swap(
        &self,
        keys: &Keys,
        seen: Option<&Cell>,
        value: &[u8],
        deadline: Deadline,
    ) -> Result<Swapped, Silent> {
        let store = &self.store;
        let name = store.newest().cell(&keys.newest);
        let sealed = store
            .newest()
            .key
            .seal(name.as_bytes(), AAD, value)
            .map_err(|_| Silent)?;
        if sealed.len() > CELL_MAX {
            StoreStats::count(&store.stats.oversize);
            return Err(Silent);
        }
        let Some((pass, mut connection)) = store.link.writer() else {
            StoreStats::count(&store.stats.shed);
            return Err(Silent);
        };
        let life = u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX);
        let mut swap = SWAP.key(&name);
        swap.arg(seen.map_or(&[][..], |seen| &seen.sealed))
            .arg(&sealed)
            .arg(life);
        let asked = deadline.bound(swap.invoke_async::<i64>(&mut connection)).await;
        match store.judge(pass, asked) {
            Ok(1) => {
                StoreStats::count(&store.stats.writes);
                let value = value.to_vec();
                Ok(Swapped::Done(Cell { value, sealed }))
            }
            Ok(_) => Ok(Swapped::Other),
            Err(_) => Err(Silent),
        }
    }

    async fn fetch(&self, name: &str, deadline: Deadline) -> Result<Vec<u8>, Silent> {
        match self.store.fetch(name, CELL_MAX, deadline).await {
            Ok((sealed, _)) => Ok(sealed),
            Err(Failure::Avoided | Failure::Late | Failure::Silent | Failure::Refused(_)) => Err(Silent),
        }
    }

    fn open(&self, domain: &Domain, name: &str, sealed: &[u8]) -> Vec<u8> {
        let value = domain.key.open(name.as_bytes(), AAD, sealed);
        let stats = &self.store.stats;
        StoreStats::count(if value.is_some() {
            &stats.hits
        } else {
            &stats.bad_entries
        });
        value.unwrap_or_default()
    }
}
