//! A body that is not collected still arrives whole, and its room in the budget lasts until it is passed on.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;

use super::*;
use crate::memory::Budget;

/// The body of a request as a server sees it.
async fn received(bytes: Bytes) -> Incoming {
    let (here, there) = tokio::io::duplex(1 << 20);
    let (bodies, mut seen) = mpsc::channel(1);
    let service = service_fn(move |request: Request<Incoming>| {
        let bodies = bodies.clone();
        async move {
            bodies.send(request.into_body()).await.unwrap();
            std::future::pending::<Result<Response<Body>, BoxError>>().await
        }
    });
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(there), service));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(here)).await.unwrap();
    tokio::spawn(connection);
    tokio::spawn(async move { sender.send_request(Request::new(Full::new(bytes))).await });
    seen.recv().await.unwrap()
}

#[tokio::test]
async fn a_body_within_the_budget_is_collected_and_gives_its_room_back() {
    let budget = Budget::new(1_000);
    let mut memory = budget.open();
    let bytes = buffer(received(Bytes::from(vec![7; 900])).await, &mut memory)
        .await
        .ok()
        .unwrap();
    assert_eq!(bytes, vec![7; 900]);
    assert!(!budget.open().grow(101));
    drop(memory);
    assert!(budget.open().grow(1_000));
}

#[tokio::test]
async fn a_body_beyond_the_budget_streams_through_whole() {
    let budget = Budget::new(100_000);
    let sent: Bytes = (0..400_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let left = buffer(received(sent.clone()).await, &mut budget.open())
        .await
        .err()
        .unwrap();
    assert_eq!(left.reason, Reason::Memory);
    assert_eq!(left.body.collect().await.unwrap().to_bytes(), sent);
    assert!(budget.open().grow(100_000));
}

#[tokio::test]
async fn what_was_read_of_a_refused_body_counts_until_it_is_passed_on() {
    let budget = Budget::new(100_000);
    let mut left = buffer(received(Bytes::from(vec![1; 400_000])).await, &mut budget.open())
        .await
        .err()
        .unwrap();
    assert!(!budget.open().grow(100_000));
    let first = left.body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(!first.is_empty() && budget.open().grow(100_000));
}

#[tokio::test]
async fn a_held_body_counts_until_it_is_passed_on() {
    let budget = Budget::new(10);
    let mut memory = budget.open();
    assert!(memory.grow(10));
    let body = held(Bytes::from_static(b"0123456789"), memory);
    assert_eq!(body.size_hint().exact(), Some(10));
    assert!(!budget.open().grow(1));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "0123456789");
    assert!(budget.open().grow(10));
}
