//! Waits until a replica has a ban, where there is one: a master that dies then takes no ban with it.

use std::time::Duration;

use redis::{FromRedisValue, RedisResult, Value};

use crate::budget::Deadline;
use crate::redis::{Failure, Store};

/// How long the server waits at a time, milliseconds (some look at the clock only ten times a second): other writes on
/// the connection wait as long.
const WAIT_MS: u64 = 10;
/// Waits before a ban counts as not durable.
const WAITS: usize = 5;
/// How long one call may take.
const CALL: Duration = Duration::from_secs(1);

impl Store {
    /// Fails where a master has replicas of which none has what was written last under a key.
    pub(super) async fn replicated(&self, key: &str) -> Result<(), Failure> {
        for _ in 0..WAITS {
            // Asked first: a server without replicas would wait for one in vain.
            if !self.has_replicas(key).await {
                return Ok(());
            }
            let mut wait = redis::cmd("WAIT");
            wait.arg(1).arg(WAIT_MS);
            if count(&self.ask_node_of(key, wait).await) != Some(0) {
                return Ok(());
            }
        }
        Err(Failure::Late)
    }

    async fn has_replicas(&self, key: &str) -> bool {
        // master, offset, replicas: each of which is connected now.
        let role = self.ask_node_of(key, redis::cmd("ROLE")).await;
        let Ok(Value::Array(role)) = role else { return false };
        matches!(role.get(2), Some(Value::Array(replicas)) if !replicas.is_empty())
    }

    async fn ask_node_of(&self, key: &str, command: redis::Cmd) -> Result<Value, Failure> {
        let (pass, mut connection) = self.link.writer().ok_or(Failure::Avoided)?;
        let asked = Deadline::after(CALL).bound(connection.ask_node_of(key, command)).await;
        self.judge(pass, asked)
    }
}

/// Replicas that have it; none where the server knows no WAIT, which is no reason to refuse the ban.
fn count(answer: &Result<Value, Failure>) -> Option<u64> {
    let count: RedisResult<u64> = u64::from_redis_value_ref(answer.as_ref().ok()?).map_err(Into::into);
    count.ok()
}
