//! A cluster of one node: the client routes by slot as in any other.

use ::redis::{RedisResult, Value, cmd, pipe};

use super::server::free_port;
use super::*;
use crate::redis::connection::Connection;
use crate::redis::dial::Dialer;

struct Cluster {
    server: Server,
    file: std::path::PathBuf,
}

impl Cluster {
    async fn start() -> Self {
        let (port, bus) = (free_port(), free_port().to_string());
        let file = std::env::temp_dir().join(format!("llmcache-nodes-{port}.conf"));
        let path = file.display().to_string();
        let args = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus,
            "--cluster-config-file",
            &path,
        ];
        let server = Server::start_with(port, &args).await;
        let _: () = server.ask(cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383)).await;
        Self { server, file }
    }

    async fn connect(&self) -> Connection {
        let url = format!("redis+cluster://127.0.0.1:{}", self.server.port());
        let mut dialer = Dialer::new(&crate::redis::Server::parse(&url).unwrap());
        // Slots are served a moment after they are given.
        for _ in 0..1_000 {
            if let Ok(connections) = dialer.connect().await
                && is_served(connections.reader.clone()).await
            {
                return connections.reader;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the cluster is not reached");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Absent when the node never got so far.
        let _ = std::fs::remove_file(&self.file);
    }
}

async fn is_served(mut connection: Connection) -> bool {
    let got: RedisResult<Value> = cmd("GET").arg("x").query_async(&mut connection).await;
    got.is_ok()
}

#[tokio::test]
async fn a_pipeline_over_many_slots_answers_in_its_own_order() {
    let cluster = Cluster::start().await;
    let mut connection = cluster.connect().await;
    let mut writes = pipe();
    for n in 0..100 {
        writes.cmd("SET").arg(format!("key {n}")).arg(n).ignore();
        writes.cmd("INCR").arg(format!("key {n}"));
    }
    let sums: Vec<u64> = writes.query_async(&mut connection).await.unwrap();
    assert_eq!(sums, (1..=100).collect::<Vec<_>>());
    let mut mixed = pipe();
    mixed
        .cmd("GET")
        .arg("key 1")
        .cmd("LPUSH")
        .arg("key 2")
        .arg("x")
        .cmd("GET")
        .arg("key 3");
    let error = mixed.query_async::<Vec<Value>>(&mut connection).await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
}

#[tokio::test]
async fn transactions_and_scripts_go_to_the_slot_of_their_keys() {
    let cluster = Cluster::start().await;
    let mut connection = cluster.connect().await;
    let mut whole = pipe();
    whole
        .atomic()
        .cmd("SET")
        .arg("{a}1")
        .arg(7)
        .ignore()
        .cmd("INCR")
        .arg("{a}1");
    assert_eq!(whole.query_async::<(u64,)>(&mut connection).await.unwrap(), (8,));
    let mut torn = pipe();
    torn.atomic().cmd("SET").arg("a").arg(1).cmd("SET").arg("b").arg(1);
    let error = torn.query_async::<()>(&mut connection).await.unwrap_err();
    assert_eq!(error.code(), Some("CROSSSLOT"));
    let mut script = cmd("EVAL");
    script
        .arg("return redis.call('GET', KEYS[1]) + ARGV[1]")
        .arg(1)
        .arg("{a}1")
        .arg(2);
    assert_eq!(script.query_async::<u64>(&mut connection).await.unwrap(), 10);
}
