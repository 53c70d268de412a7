//! One Redis made to have the users that it should, server by server.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use redis::aio::MultiplexedConnection;

use super::super::Admin;
use super::super::node::{self, Address, Unreachable};
use super::{User, Users};

/// How the names of our users begin.
const PREFIX: &str = "llmcache-";
/// Time for which a user that is not wanted any more is kept, milliseconds: sidecars use it until they hear of another.
const KEPT_MS: i64 = 600_000;
/// Time after which every user is written again, whatever the server says of it, milliseconds.
const RENEWED_MS: i64 = 600_000;
/// Users that one command stream writes.
const BATCH: usize = 128;

/// What is known of one Redis' servers and users.
#[derive(Debug, Default)]
pub struct Keeper {
    nodes: HashMap<Address, Node>,
    unwanted: BTreeMap<String, i64>,
}

/// What was written to one server, and when all of it was.
#[derive(Debug, Default)]
struct Node {
    written: Users,
    renewed_ms: i64,
}

/// What a look did.
#[derive(Debug, Default)]
pub struct Done {
    /// Users made, changed or deleted, counted once per server.
    pub written: u64,
    /// Servers that could not be reached or refused, with why.
    pub errors: Vec<String>,
}

impl Keeper {
    /// Looks at every server and makes it have the wanted users; deletes those with one of our marks that were not wanted for
    /// ten minutes. Only finding the servers fails as a whole.
    pub async fn sync(
        &mut self,
        admin: &Admin,
        wanted: &Users,
        marks: &[String],
        now_ms: i64,
    ) -> Result<Done, Unreachable> {
        let addresses = node::all(admin).await?;
        self.nodes.retain(|address, _| addresses.contains(address));
        let mut done = Done::default();
        let mut strangers = BTreeSet::new();
        for address in addresses {
            let node = self.nodes.entry(address.clone()).or_default();
            let result = async {
                let mut connection = node::connect(admin, &address).await?;
                let there = marked(&mut connection, marks).await?;
                done.written += node.write(&mut connection, wanted, &there, now_ms).await?;
                let unwanted = there.into_iter().filter(|name| !wanted.contains_key(name));
                let (late, early): (Vec<_>, Vec<_>) = unwanted.partition(|name| {
                    let since = self.unwanted.get(name);
                    since.is_some_and(|since_ms| now_ms - since_ms >= KEPT_MS)
                });
                done.written += delete(&mut connection, &late).await?;
                strangers.extend(early);
                Ok::<_, Unreachable>(())
            };
            if let Err(error) = result.await {
                // What it holds is not known any more.
                self.nodes.remove(&address);
                done.errors.push(format!("{}:{}: {error}", address.0, address.1));
            }
        }
        self.unwanted.retain(|name, _| strangers.contains(name));
        for name in strangers {
            self.unwanted.entry(name).or_insert(now_ms);
        }
        Ok(done)
    }
}

impl Node {
    /// Writes what the server lacks, what is other than it was, and after a while everything.
    async fn write(
        &mut self,
        connection: &mut MultiplexedConnection,
        wanted: &Users,
        there: &BTreeSet<String>,
        now_ms: i64,
    ) -> Result<u64, Unreachable> {
        let is_renewal = now_ms - self.renewed_ms >= RENEWED_MS;
        let is_due = |(name, user): &(&String, &User)| {
            is_renewal || !there.contains(*name) || self.written.get(*name) != Some(user)
        };
        let due: Vec<(&String, &User)> = wanted.iter().filter(is_due).collect();
        for batch in due.chunks(BATCH) {
            let mut pipe = redis::pipe();
            for (name, User(rules)) in batch {
                pipe.cmd("ACL").arg("SETUSER").arg(*name).arg(rules).ignore();
            }
            pipe.query_async::<()>(connection).await?;
        }
        let written = u64::try_from(due.len()).unwrap_or_default();
        self.written.clone_from(wanted);
        if is_renewal {
            self.renewed_ms = now_ms;
        }
        Ok(written)
    }
}

impl Done {
    /// Nothing could be done.
    pub(super) fn failed(error: String) -> Self {
        Self {
            written: 0,
            errors: vec![error],
        }
    }
}

/// Names of the users with one of our marks.
async fn marked(connection: &mut MultiplexedConnection, marks: &[String]) -> Result<BTreeSet<String>, Unreachable> {
    let mut list = redis::cmd("ACL");
    let users: Vec<String> = list.arg("LIST").query_async(connection).await?;
    let ours = users.iter().filter_map(|user| {
        let mut words = user.split(' ');
        let name = words.nth(1).filter(|name| name.starts_with(PREFIX))?;
        let is_mark = |word: &str| {
            word.strip_prefix('&')
                .is_some_and(|channel| marks.iter().any(|mark| mark == channel))
        };
        words.any(is_mark).then(|| name.to_owned())
    });
    Ok(ours.collect())
}

async fn delete(connection: &mut MultiplexedConnection, names: &[String]) -> Result<u64, Unreachable> {
    if names.is_empty() {
        return Ok(0);
    }
    let mut delete = redis::cmd("ACL");
    Ok(delete.arg("DELUSER").arg(names).query_async(connection).await?)
}
