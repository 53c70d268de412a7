//! Collections of questions in a Qdrant: the real server that `QDRANT_URL` names (as `kubectl llmcache local --qdrant`
//! takes it), or one in process that speaks the same calls.

use std::fs::File;
use std::io::Read;

use llmcache_semantic::index::DIMENSIONS;
use llmcache_semantic::qdrant::{Collection, Point, Refusal, Server};
use llmcache_tests::kit::FakeQdrant;

/// A time in the life of all points that are not said to be dead.
const NOW: u64 = 1_000_000;

/// Where collections are kept while a test runs.
struct Place {
    server: Server,
    namespace: String,
    /// Kept running.
    _fake: Option<FakeQdrant>,
}

impl Place {
    async fn new() -> anyhow::Result<Self> {
        let mut name = [0; 8];
        File::open("/dev/urandom")?.read_exact(&mut name)?;
        let (url, fake) = if let Ok(url) = std::env::var("QDRANT_URL") {
            (url, None)
        } else {
            let fake = FakeQdrant::start(None).await?;
            (fake.url(), Some(fake))
        };
        Ok(Self {
            server: url.parse()?,
            namespace: hex::encode(name),
            _fake: fake,
        })
    }

    /// The collection of a vector space, made.
    async fn open(&self, space: &str) -> anyhow::Result<Collection> {
        let collection = Collection::new(&self.server, &self.namespace, space)?;
        collection.prepare().await?;
        Ok(collection)
    }
}

/// At an angle to the first axis whose cosine is this.
fn vector(cosine: f32) -> Box<[f32; DIMENSIONS]> {
    let mut numbers = Box::new([0.0; DIMENSIONS]);
    (numbers[0], numbers[1]) = (cosine, (1.0 - cosine * cosine).sqrt());
    numbers
}

fn point(partition: u8, key: u8, cosine: f32) -> Point {
    Point {
        partition: [partition; 32],
        key: [key; 32],
        vector: vector(cosine),
        expires_ms: NOW + 1_000,
        sealed: vec![key, 0, 255],
    }
}

/// Keys and similarities near the first axis.
async fn near(
    collection: &Collection,
    partition: u8,
    floor: u16,
    top: usize,
    now_ms: u64,
) -> Result<Vec<(u8, u16)>, Refusal> {
    let found = collection
        .nearest(&[partition; 32], &vector(1.0), floor, top, now_ms)
        .await;
    let found = found?.into_iter();
    Ok(found.map(|near| (near.point.key[0], near.similarity)).collect())
}

#[tokio::test]
async fn points_come_back_whole_and_nearest_first_from_their_partition_alone() {
    let place = Place::new().await.unwrap();
    let collection = place.open("a").await.unwrap();
    let points = [
        point(1, 1, 0.875),
        point(1, 2, 0.9375),
        point(1, 3, 0.75),
        point(2, 4, 1.0),
    ];
    collection.put(points.to_vec()).await.unwrap();
    assert_eq!(
        near(&collection, 1, 8_000, 8, NOW).await.unwrap(),
        [(2, 9_375), (1, 8_750)]
    );
    assert_eq!(near(&collection, 1, 0, 1, NOW).await.unwrap(), [(2, 9_375)]);
    assert_eq!(near(&collection, 2, 0, 8, NOW).await.unwrap(), [(4, 10_000)]);
    assert_eq!(near(&collection, 3, 0, 8, NOW).await.unwrap(), []);
    let found = collection.nearest(&[1; 32], &vector(1.0), 9_000, 8, NOW).await.unwrap();
    assert_eq!(found[0].point, points[1]);
}

#[tokio::test]
async fn a_point_is_replaced_removed_and_no_neighbour_past_its_end() {
    let place = Place::new().await.unwrap();
    let collection = place.open("a").await.unwrap();
    collection
        .put(vec![point(1, 1, 0.90625), point(1, 2, 0.8125)])
        .await
        .unwrap();
    collection.put(vec![point(1, 1, 0.875)]).await.unwrap();
    assert_eq!(near(&collection, 1, 0, 8, NOW).await.unwrap(), [(1, 8_750), (2, 8_125)]);
    collection.remove(&[[1; 32], [9; 32]]).await.unwrap();
    assert_eq!(near(&collection, 1, 0, 8, NOW).await.unwrap(), [(2, 8_125)]);
    assert_eq!(near(&collection, 1, 0, 8, NOW + 1_000).await.unwrap(), []);
    collection.sweep(NOW + 1_000).await.unwrap();
    assert_eq!(near(&collection, 1, 0, 8, NOW).await.unwrap(), []);
}

#[tokio::test]
async fn another_model_has_a_collection_beside_which_the_old_one_drains() {
    let place = Place::new().await.unwrap();
    let old = place.open("old").await.unwrap();
    old.put(vec![point(1, 1, 0.90625)]).await.unwrap();
    let new = place.open("new").await.unwrap();
    assert_ne!(old.name(), new.name());
    assert_eq!(near(&new, 1, 0, 8, NOW).await.unwrap(), []);
    new.drain(NOW).await.unwrap();
    assert_eq!(
        near(&old, 1, 0, 8, NOW).await.unwrap(),
        [(1, 9_062)],
        "sidecars of the old model still use it"
    );
    for _ in 0..2 {
        new.drain(NOW + 1_000).await.unwrap();
    }
    let gone = old.nearest(&[1; 32], &vector(1.0), 0, 8, NOW).await.unwrap_err();
    assert!(gone.to_string().starts_with("Qdrant: "), "{gone}");
    // A sidecar of the old model that writes again makes it anew.
    old.prepare().await.unwrap();
    old.put(vec![point(1, 1, 0.90625)]).await.unwrap();
    assert_eq!(near(&old, 1, 0, 8, NOW).await.unwrap(), [(1, 9_062)]);
    new.put(vec![point(1, 2, 0.90625)]).await.unwrap();
    assert_eq!(near(&new, 1, 0, 8, NOW).await.unwrap(), [(2, 9_062)]);
}

#[tokio::test]
async fn another_namespace_s_collections_are_left_alone() {
    let (place, mut other) = (Place::new().await.unwrap(), Place::new().await.unwrap());
    other.server = place.server.clone();
    let theirs = other.open("old").await.unwrap();
    let ours = place.open("new").await.unwrap();
    for _ in 0..3 {
        ours.drain(NOW).await.unwrap();
    }
    assert_eq!(near(&theirs, 1, 0, 8, NOW).await.unwrap(), []);
}

#[tokio::test]
async fn the_key_opens_the_server_and_no_refusal_repeats_it() {
    let fake = FakeQdrant::start(Some("s3cret")).await.unwrap();
    let open = |server: Server| Collection::new(&server, "n", "a").unwrap();
    let server: Server = fake.url().parse().unwrap();
    let refused = open(server.clone().with_api_key("wr0ng")).prepare().await.unwrap_err();
    assert!(!format!("{refused:?}").contains("wr0ng"), "{refused:?}");
    open(server.with_api_key("s3cret")).prepare().await.unwrap();
}
