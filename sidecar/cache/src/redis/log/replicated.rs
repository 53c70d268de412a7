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
            if !has_replicas(&heard(self.ask_node_of(key, redis::cmd("ROLE")).await)?) {
                return Ok(());
            }
            let mut wait = redis::cmd("WAIT");
            wait.arg(1).arg(WAIT_MS);
            if is_replicated(&heard(self.ask_node_of(key, wait).await)?) {
                return Ok(());
            }
        }
        Err(Failure::Late)
    }

    async fn ask_node_of(&self, key: &str, command: redis::Cmd) -> Result<Value, Failure> {
        let (pass, mut connection) = self.link.writer().ok_or(Failure::Avoided)?;
        let asked = Deadline::after(CALL).bound(connection.ask_node_of(key, command)).await;
        self.judge(pass, asked)
    }
}

/// What was answered, nil where the server does not know or allow the command, which is no reason to refuse the ban. A
/// server that was lost meanwhile may have taken the ban with it.
fn heard(answer: Result<Value, Failure>) -> Result<Value, Failure> {
    match answer {
        Err(Failure::Refused(_)) => Ok(Value::Nil),
        answer => answer,
    }
}

/// `ROLE`: master, offset, replicas, each of which is connected now.
fn has_replicas(role: &Value) -> bool {
    let Value::Array(role) = role else { return false };
    matches!(role.get(2), Some(Value::Array(replicas)) if !replicas.is_empty())
}

/// `WAIT`: how many replicas have it.
fn is_replicated(count: &Value) -> bool {
    let count: RedisResult<u64> = u64::from_redis_value_ref(count).map_err(Into::into);
    count.map_or(true, |count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_lost_meanwhile_has_not_kept_the_ban() {
        for lost in [Failure::Avoided, Failure::Late, Failure::Silent] {
            assert!(heard(Err(lost)).is_err());
        }
        let refused = Failure::Refused((redis::ErrorKind::Client, "no such command").into());
        let nothing = heard(Err(refused)).unwrap();
        assert!(!has_replicas(&nothing) && is_replicated(&nothing));
        assert!(is_replicated(&Value::Int(1)) && !is_replicated(&Value::Int(0)));
    }
}
