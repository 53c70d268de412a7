//! Protocols, floods, floes and ends of connections.

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::client::{answer, fed};
use super::*;

const PODS: &str = "/mutate/pods";

#[tokio::test]
async fn http2_is_chosen_where_both_are_offered() {
    let stage = Stage::start().await;
    let mut client = Client::connect(&stage, Protocol::Both).await;
    assert!(matches!(client, Client::Two(_)));
    assert!(!patch(&client.review(PODS, &pod_review()).await).is_empty());
}

#[tokio::test]
async fn http1_connection_serves_one_review_after_another() {
    let stage = Stage::start().await;
    for protocol in [Protocol::Http1, Protocol::Silent] {
        let mut client = Client::connect(&stage, protocol).await;
        assert!(matches!(client, Client::One(_)));
        for _ in 0..3 {
            assert!(!patch(&client.review(PODS, &pod_review()).await).is_empty());
        }
    }
}

#[tokio::test]
async fn burst_on_one_connection_is_answered_to_the_last() {
    let stage = Stage::start().await;
    let Client::Two(sender) = Client::connect(&stage, Protocol::Both).await else {
        panic!("HTTP/2 was offered");
    };
    let mut answers = JoinSet::new();
    for index in 0..600 {
        let mut client = Client::Two(sender.clone());
        let mut review = pod_review();
        review["request"]["uid"] = format!("uid-{index}").into();
        answers.spawn(async move {
            let answer = client.review(PODS, &review).await;
            assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
            assert!(!patch(&answer).is_empty());
        });
    }
    while let Some(answered) = answers.join_next().await {
        answered.unwrap();
    }
    assert_eq!(stage.metric("injections_total{result=\"injected\"}"), 600);
    assert_eq!(
        stage.metric("webhook_duration_seconds_count{path=\"/mutate/pods\"}"),
        600
    );
}

#[tokio::test]
async fn peer_without_tls_is_dropped_and_the_next_one_served() {
    let stage = Stage::start().await;
    let mut stream = TcpStream::connect(("127.0.0.1", stage.port)).await.unwrap();
    stream
        .write_all(b"POST /mutate/pods HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    // Reset or closed: both are an end.
    let _ = stream.read_to_end(&mut rest).await;
    let mut client = Client::connect(&stage, Protocol::Both).await;
    client.review(PODS, &pod_review()).await;
}

#[tokio::test]
async fn body_over_the_limit_is_allowed_and_counted() {
    let stage = Stage::start().await;
    for protocol in [Protocol::Both, Protocol::Http1] {
        let mut client = Client::connect(&stage, protocol).await;
        let answer = client.bytes(PODS, vec![b' '; (3 << 20) + 1].into()).await;
        assert!(warnings(&answer)[0].contains("over 3 MiB"), "{answer}");
    }
    assert_eq!(stage.metric("webhook_errors_total{path=\"/mutate/pods\"}"), 2);
    assert_eq!(stage.metric("injections_total{result=\"error\"}"), 2);
}

#[tokio::test]
async fn body_of_no_stated_length_is_cut_at_the_limit() {
    let stage = Stage::start().await;
    for protocol in [Protocol::Both, Protocol::Http1] {
        let mut client = Client::connect(&stage, protocol).await;
        let (feeding, body) = fed();
        let fed = tokio::spawn(async move {
            // The server stops reading when it has enough.
            while feeding.send(vec![b' '; 64 << 10].into()).await.is_ok() {}
        });
        let answer = answer(client.send("POST", PODS, body).await).await;
        assert!(warnings(&answer)[0].contains("over 3 MiB"), "{answer}");
        drop(client);
        fed.await.unwrap();
    }
}

#[tokio::test]
async fn body_of_no_stated_length_is_read_to_its_end() {
    let stage = Stage::start().await;
    for protocol in [Protocol::Both, Protocol::Http1] {
        let mut client = Client::connect(&stage, protocol).await;
        let (feeding, body) = fed();
        let review = pod_review().to_string();
        tokio::spawn(async move {
            for piece in review.as_bytes().chunks(7) {
                feeding.send(Bytes::copy_from_slice(piece)).await.unwrap();
            }
        });
        assert!(!patch(&answer(client.send("POST", PODS, body).await).await).is_empty());
    }
}

#[tokio::test]
async fn body_that_stops_coming_is_allowed_before_the_api_server_gives_up() {
    let stage = Stage::start().await;
    for protocol in [Protocol::Both, Protocol::Http1] {
        let mut client = Client::connect(&stage, protocol).await;
        let (feeding, body) = fed();
        feeding.send(Bytes::from_static(b"{\"request\":")).await.unwrap();
        let answer = answer(client.send("POST", PODS, body).await).await;
        assert!(warnings(&answer)[0].contains("too slowly"), "{answer}");
        drop(feeding);
    }
}

#[tokio::test(start_paused = true)]
async fn room_for_bodies_is_given_back() {
    let (sender, _notices) = mpsc::channel(1);
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let webhook = Webhook::new(Arc::new(ArcSwap::from_pointee(facts())), sender, metrics);
    let post = |body| Request::post(PODS).body(body).unwrap();
    // Each holds 3 MiB of 64 until it is given up.
    let (feeding, bodies): (Vec<_>, Vec<_>) = (0..40).map(|_| fed()).unzip();
    let slow = bodies.into_iter().map(|body| webhook.answer(post(body)));
    for response in futures_util::future::join_all(slow).await {
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(webhook.room.available_permits(), body::ROOM_KIB);
    drop(feeding);
    let response = webhook.answer(post(Full::from(pod_review().to_string()).boxed())).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!patch(&serde_json::from_slice(&body).unwrap()).is_empty());
}

#[tokio::test]
async fn stop_lets_an_open_review_finish() {
    let stage = Stage::start().await;
    for protocol in [Protocol::Both, Protocol::Http1] {
        let stage = Stage::start().await;
        let mut client = Client::connect(&stage, protocol).await;
        let (feeding, body) = fed();
        let answering = tokio::spawn(async move { answer(client.send("POST", PODS, body).await).await });
        // Twice the channel's room: the first piece is on its way when the second is taken.
        feeding.send(Bytes::from_static(b" ")).await.unwrap();
        feeding.send(Bytes::from_static(b" ")).await.unwrap();
        let review = pod_review().to_string();
        let (head, tail) = review.split_at(20);
        feeding.send(head.to_owned().into()).await.unwrap();
        stage.stop.send(true).unwrap();
        feeding.send(tail.to_owned().into()).await.unwrap();
        drop(feeding);
        assert!(!patch(&answering.await.unwrap()).is_empty());
        stage.serving.await.unwrap().unwrap();
    }
    assert!(!stage.serving.is_finished(), "another server is another matter");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_without_harm() {
    let stage = Stage::start().await;
    let mut client = Client::connect(&stage, Protocol::Both).await;
    let empty = || Full::new(Bytes::new()).boxed();
    assert_eq!(
        client.send("POST", "/mutate", empty()).await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        client.send("GET", PODS, empty()).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    client.review(PODS, &pod_review()).await;
}
