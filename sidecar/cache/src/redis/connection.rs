//! One connection to a store, whatever its mode: commands, pipelines and scripts work alike through it.
//!
//! Callers bound each call and drop it when its time is over; nothing here waits longer for them.

use futures_util::FutureExt as _;
use futures_util::future::try_join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, Slot, SlotAddr};
use redis::{Arg, Cmd, Pipeline, RedisFuture, RedisResult, Value};

/// Cheap to clone; clones share the connection.
#[derive(Clone)]
pub(super) enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// The commands of one slot, each with its place in the whole pipeline.
struct Share {
    slot: Option<Slot>,
    places: Vec<usize>,
    pipeline: Pipeline,
}

impl Connection {
    /// Sends a command that names no key to the master that has this one.
    pub(super) async fn ask_node_of(&mut self, key: &str, command: Cmd) -> RedisResult<Value> {
        match self {
            Self::Node(node) => node.req_packed_command(&command).await,
            Self::Cluster(cluster) => {
                let master = Route::with_slot(Slot::for_key(key), SlotAddr::Master);
                let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(master));
                cluster.route_command(command, routing).await
            }
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Node(node) => node.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Node(node) => node.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => {
                if pipeline.is_transaction() {
                    cluster.req_packed_commands(pipeline, offset, count)
                } else {
                    spread(cluster, pipeline).boxed()
                }
            }
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Node(node) => node.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// Sends each slot's commands as a pipeline of its own, all at once: the client refuses one that spans slots. Commands
/// of one slot keep their order, others have none.
async fn spread(cluster: &ClusterConnection, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
    let shares = shares(pipeline);
    let answers = try_join_all(shares.iter().map(|share| {
        let mut cluster = cluster.clone();
        async move {
            cluster
                .req_packed_commands(&share.pipeline, 0, share.places.len())
                .await
        }
    }))
    .await?;
    let mut whole = vec![Value::Nil; pipeline.len()];
    for (share, values) in shares.iter().zip(answers) {
        for (place, value) in share.places.iter().zip(values) {
            whole[*place] = value;
        }
    }
    Ok(whole)
}

fn shares(pipeline: &Pipeline) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    for (place, command) in pipeline.cmd_iter().enumerate() {
        let slot = key(command).map(Slot::for_key);
        let at = shares.iter().position(|share| share.slot == slot).unwrap_or_else(|| {
            shares.push(Share {
                slot,
                places: Vec::new(),
                pipeline: Pipeline::new(),
            });
            shares.len() - 1
        });
        shares[at].places.push(place);
        shares[at].pipeline.add_command(command.clone());
    }
    shares
}

/// The first key of a command: its first argument, or the first after a script and its count of keys.
fn key(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().map(|arg| match arg {
        Arg::Simple(word) => word,
        _ => &[],
    });
    let name = words.next()?.to_ascii_uppercase();
    let before = if matches!(name.as_slice(), b"EVAL" | b"EVALSHA" | b"FCALL") {
        2
    } else {
        0
    };
    words.nth(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_shared_out_by_slot_and_keeps_its_order() {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg("{a}1").arg("x");
        pipeline.cmd("GET").arg("b");
        pipeline.cmd("evalsha").arg("sha").arg(1).arg("{a}2").arg("y");
        pipeline.cmd("PING");
        pipeline.cmd("GET").arg("{a}1");
        let places: Vec<_> = shares(&pipeline).into_iter().map(|share| share.places).collect();
        assert_eq!(places, [vec![0, 2, 4], vec![1], vec![3]]);
        let slots: Vec<_> = shares(&pipeline).into_iter().map(|share| share.slot).collect();
        assert_eq!(slots, [Some(Slot::for_key("a")), Some(Slot::for_key("b")), None]);
    }
}
