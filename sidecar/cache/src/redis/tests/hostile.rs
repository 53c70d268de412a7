//! A store that is foreign, full of garbage, frozen, dead or back again.

use super::server::free_port;
use super::*;

async fn name_of(server: &Server, n: u8) -> String {
    let names = answers(server).await;
    names
        .into_iter()
        .find(|name| name.contains(&key(n).to_string()))
        .unwrap()
}

async fn copy(server: &Server, from: &str, to: &str) {
    let _: i64 = server.ask(::redis::cmd("COPY").arg(from).arg(to).arg("REPLACE")).await;
}

#[tokio::test]
async fn a_foreign_value_under_our_name_never_opens() {
    let server = Server::start().await;
    let ours = open(&server, place("a", "p")).await;
    let foreign_key = open(&server, place("b", "p")).await;
    let other_policy = open(&server, place("a", "q")).await;
    for (n, redis) in [(1, &ours), (2, &foreign_key), (3, &other_policy)] {
        write(redis, n, b"v").await;
    }
    let our_name = name_of(&server, 1).await;
    for n in [2, 3] {
        assert_eq!(read(&ours, n).await, None);
        copy(&server, &name_of(&server, n).await, &our_name).await;
        assert_eq!(read(&ours, 1).await, None);
    }
    assert_eq!(count(&ours, |s| &s.bad_entries), 2);
    assert_eq!(count(&ours, |s| &s.misses), 2);
}

#[tokio::test]
async fn our_own_value_under_another_name_never_opens() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    write(&redis, 1, b"one").await;
    write(&redis, 2, b"two").await;
    copy(&server, &name_of(&server, 1).await, &name_of(&server, 2).await).await;
    assert_eq!(read(&redis, 2).await, None);
    assert_eq!(count(&redis, |s| &s.bad_entries), 1);
}

#[tokio::test]
async fn garbage_of_any_size_and_type_is_a_counted_miss_and_is_written_over() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    write(&redis, 1, b"v").await;
    let name = name_of(&server, 1).await;
    let garbage: [Vec<u8>; 4] = [vec![1], vec![1; 300], b"not ours".to_vec(), vec![1; 64 << 20]];
    for value in garbage {
        let _: String = server.ask(::redis::cmd("SET").arg(&name).arg(value)).await;
        assert_eq!(read(&redis, 1).await, None);
    }
    let sent: ::redis::InfoDict = server.ask(::redis::cmd("INFO").arg("stats")).await;
    assert!(
        sent.get::<u64>("total_net_output_bytes").unwrap() < 16 << 20,
        "the 64 MiB were read whole"
    );
    let _: i64 = server.ask(::redis::cmd("DEL").arg(&name)).await;
    let _: i64 = server.ask(::redis::cmd("RPUSH").arg(&name).arg("a list")).await;
    assert_eq!(read(&redis, 1).await, None);
    assert_eq!(count(&redis, |s| &s.bad_entries), 5);
    assert_eq!(count(&redis, |s| &s.breaker_trips), 0);
    write(&redis, 1, b"new").await;
    assert_eq!(read(&redis, 1).await.unwrap(), "new");
}

#[tokio::test]
async fn a_frozen_server_costs_the_calls_in_flight_their_budget_and_later_ones_nothing() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    write(&redis, 1, b"v").await;
    server.signal("STOP");
    let missed = tokio::join!(read_by(&redis, 1, hurried()), read_by(&redis, 1, hurried()));
    assert_eq!(missed, (None, None));
    assert_eq!(
        (
            count(&redis, |s| &s.budget_exceeded),
            count(&redis, |s| &s.breaker_trips)
        ),
        (2, 1)
    );
    // A deadline of hours would hang here, were the server asked.
    for _ in 0..100 {
        assert_eq!(read_by(&redis, 1, Deadline::after(Duration::from_hours(1))).await, None);
    }
    assert_eq!(count(&redis, |s| &s.skipped), 100);
    redis.put(key(2), entry(b"v"), 1_000, None);
    redis.flush().await;
    assert_eq!(count(&redis, |s| &s.shed), 1);

    server.signal("CONT");
    reachable(&redis).await;
    assert!(read(&redis, 1).await.is_some());
}

#[tokio::test]
async fn a_write_to_a_frozen_server_opens_the_breaker_too() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    server.signal("STOP");
    write(&redis, 1, b"v").await;
    assert_eq!(read_by(&redis, 1, Deadline::after(Duration::from_hours(1))).await, None);
    assert_eq!((count(&redis, |s| &s.errors), count(&redis, |s| &s.skipped)), (1, 1));
    server.signal("CONT");
    reachable(&redis).await;
}

#[tokio::test]
async fn a_killed_server_is_a_miss_until_it_is_back() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    write(&redis, 1, b"v").await;
    let port = server.port();
    drop(server);
    assert_eq!(read(&redis, 1).await, None);
    assert_eq!(count(&redis, |s| &s.breaker_open), 1);

    let _server = Server::start_at(port).await;
    reachable(&redis).await;
    assert_eq!(read(&redis, 1).await, None);
    write(&redis, 1, b"v").await;
    assert!(read(&redis, 1).await.is_some());
}

#[tokio::test]
async fn a_server_that_is_dead_at_start_is_no_error_and_is_found_later() {
    let port = free_port();
    let redis = Redis::open(&address(port), place("a", "p"));
    assert_eq!(read(&redis, 1).await, None);
    assert_eq!(count(&redis, |s| &s.skipped), 1);
    let _server = Server::start_at(port).await;
    reachable(&redis).await;
    write(&redis, 1, b"v").await;
    assert!(read(&redis, 1).await.is_some());
}

#[tokio::test]
async fn a_server_that_refuses_writes_still_answers_reads() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    write(&redis, 1, b"v").await;
    let _: String = server
        .ask(::redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1"))
        .await;
    write(&redis, 2, b"v").await;
    assert_eq!(
        (count(&redis, |s| &s.errors), count(&redis, |s| &s.breaker_trips)),
        (1, 0)
    );
    assert!(read(&redis, 1).await.is_some());
}
