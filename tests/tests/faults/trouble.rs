//! The rows: what happens to the store, and the store it happens to.

use std::time::Duration;

use anyhow::Context;
use llmcache_tests::kit::{Network, Redis, RedisCluster, RedisSentinel, Weather, eventually};
use rustix::process::Signal;

use crate::traffic::Traffic;

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Frozen,
    Killed,
    Restarted,
    SentinelFailOver,
    ClusterNodeLoss,
    MemoryFull,
    SlowReplies,
    GarbageValues,
    WrongTypes,
    NetworkCut,
}

/// Where it happens.
pub(crate) enum Store {
    One(Box<(Redis, Network)>),
    Sentinel(RedisSentinel),
    Cluster(RedisCluster),
}

/// Puts something else under every name of ours: in every other turn the whole value of the next name, else garbage of
/// a kind that changes from name to name and from turn to turn.
const GARBAGE: &str = "local keys, values = redis.call('KEYS', 'llmcache:*'), {} \
    for i, key in ipairs(keys) do \
    local found, value = pcall(redis.call, 'GET', key) \
    values[i] = found and value or 'none' end \
    for i, key in ipairs(keys) do \
    local value, kind = values[i], (i + ARGV[1]) % 4 \
    if ARGV[1] % 2 == 0 then value = values[i % #keys + 1] \
    elseif kind == 0 then value = 'garbage' \
    elseif kind == 1 then value = string.sub(value, 1, math.floor(#value / 2)) \
    elseif kind == 2 then value = string.sub(value, 1, 40) .. '!' .. string.sub(value, 42) \
    else value = string.rep('x', 100000) end \
    redis.call('SET', key, value, 'PX', 3600000) end";

/// Puts another type under every name of ours.
const TYPES: &str = "for i, key in ipairs(redis.call('KEYS', 'llmcache:*')) do \
    redis.call('DEL', key) \
    local kind = (i + ARGV[1]) % 4 \
    if kind == 0 then redis.call('RPUSH', key, 'x') \
    elseif kind == 1 then redis.call('HSET', key, 'x', 'y') \
    elseif kind == 2 then redis.call('SADD', key, 'x') \
    else redis.call('ZADD', key, 1, 'x') end end";

impl Trouble {
    pub(crate) const ALL: [Self; 10] = [
        Self::Frozen,
        Self::Killed,
        Self::Restarted,
        Self::SentinelFailOver,
        Self::ClusterNodeLoss,
        Self::MemoryFull,
        Self::SlowReplies,
        Self::GarbageValues,
        Self::WrongTypes,
        Self::NetworkCut,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Frozen => "SIGSTOP",
            Self::Killed => "kill",
            Self::Restarted => "restart",
            Self::SentinelFailOver => "Sentinel fail-over",
            Self::ClusterNodeLoss => "Cluster node loss",
            Self::MemoryFull => "maxmemory, noeviction",
            Self::SlowReplies => "slow replies",
            Self::GarbageValues => "garbage values",
            Self::WrongTypes => "wrong type at our keys",
            Self::NetworkCut => "network cut",
        }
    }

    /// A store of the kind that it happens to.
    pub(crate) async fn store(self) -> anyhow::Result<Store> {
        Ok(match self {
            Self::SentinelFailOver => Store::Sentinel(RedisSentinel::start().await?),
            Self::ClusterNodeLoss => Store::Cluster(RedisCluster::start().await?),
            _ => {
                let redis = Redis::start_with(&["maxmemory-policy noeviction"]).await?;
                let network = Network::before(redis.port()).await?;
                Store::One(Box::new((redis, network)))
            }
        })
    }
}

impl Store {
    pub(crate) fn url(&self) -> String {
        match self {
            Self::One(one) => format!("redis://{}", one.1.address()),
            Self::Sentinel(sentinel) => sentinel.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// Lets it happen, enough traffic pass meanwhile, and ends it.
    pub(crate) async fn suffer(&self, trouble: Trouble, traffic: &Traffic) -> anyhow::Result<()> {
        match self {
            Self::One(one) => match trouble {
                Trouble::SlowReplies | Trouble::NetworkCut => weather(&one.1, trouble, traffic).await,
                _ => happen(&one.0, trouble, traffic).await,
            },
            Self::Sentinel(sentinel) => {
                let old = sentinel.master().await?;
                old.kill().await?;
                traffic.more().await?;
                eventually("another master", async || {
                    sentinel.master().await.is_ok_and(|master| master.port() != old.port())
                })
                .await
            }
            Self::Cluster(cluster) => {
                cluster.nodes[0].kill().await?;
                traffic.more().await?;
                eventually("its replica is master", async || {
                    let role = cluster.nodes[3].command("ROLE").await;
                    role.is_ok_and(|role| role.lines().any(|line| line == "master"))
                })
                .await
            }
        }
    }
}

async fn happen(redis: &Redis, trouble: Trouble, traffic: &Traffic) -> anyhow::Result<()> {
    match trouble {
        Trouble::Frozen => {
            redis.signal(Signal::STOP)?;
            traffic.gives_the_store_up().await?;
            traffic.more().await?;
            redis.signal(Signal::CONT)
        }
        Trouble::Killed => {
            redis.kill().await?;
            traffic.gives_the_store_up().await?;
            traffic.more().await?;
            redis.restart().await
        }
        Trouble::Restarted => {
            redis.restart().await?;
            traffic.more().await
        }
        Trouble::MemoryFull => {
            redis.command("CONFIG SET maxmemory 1").await?;
            traffic.more().await?;
            redis.command("CONFIG SET maxmemory 0").await.map(|_| ())
        }
        Trouble::GarbageValues => spoil(redis, GARBAGE, traffic).await,
        _ => spoil(redis, TYPES, traffic).await,
    }
}

async fn weather(network: &Network, trouble: Trouble, traffic: &Traffic) -> anyhow::Result<()> {
    let turns: &[Weather] = if trouble == Trouble::SlowReplies {
        // Within the budget, around it, and far beyond.
        &[10, 24, 200].map(|ms| Weather::Slow(Duration::from_millis(ms)))
    } else {
        &[Weather::Down, Weather::Deaf, Weather::Torn(7)]
    };
    for turn in turns {
        network.turn(*turn);
        traffic.more().await?;
    }
    network.turn(Weather::Clear);
    Ok(())
}

/// Spoils all keys again and again, in another way each time.
async fn spoil(redis: &Redis, script: &str, traffic: &Traffic) -> anyhow::Result<()> {
    for turn in 0..6 {
        let reply = redis.command(&format!("EVAL \"{script}\" 0 {turn}")).await?;
        reply.starts_with('$').then_some(()).with_context(|| reply)?;
        traffic.more().await?;
    }
    Ok(())
}
