//! A Qdrant that speaks the calls llmcache makes, in process: points in memory, an exact search, and orders to fall
//! silent or to lie.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use prost::Message;
use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{self as wire, Filter, PointStruct, vector, vectors};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// The codes of gRPC that are used.
const OK: &str = "0";
const NOT_FOUND: &str = "5";
const UNIMPLEMENTED: &str = "12";
const UNAUTHENTICATED: &str = "16";

/// A running server; ends when dropped.
pub struct FakeQdrant {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    silence: watch::Sender<bool>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    collections: Mutex<BTreeMap<String, Points>>,
    key: Option<String>,
    /// What each call was, in order.
    calls: Mutex<Vec<String>>,
}

type Points = BTreeMap<String, PointStruct>;
/// The code of an error.
type Code = &'static str;

impl FakeQdrant {
    /// A server without collections that asks for this key, if any.
    pub async fn start(key: Option<&str>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a Qdrant")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            key: key.map(str::to_owned),
            ..Shared::default()
        });
        let (silence, silent) = watch::channel(false);
        let task = tokio::spawn(serve(listener, shared.clone(), silent)).abort_handle();
        Ok(Self {
            address,
            shared,
            silence,
            task,
        })
    }

    /// Its address as llmcache takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes every call and answers none, as a frozen process does, until it is told otherwise.
    pub fn freeze(&self, is_frozen: bool) {
        self.silence.send_replace(is_frozen);
    }

    /// Names of the collections with the number of their points.
    pub fn collections(&self) -> Vec<(String, usize)> {
        let collections = self.shared.collections.lock();
        collections
            .iter()
            .map(|(name, points)| (name.clone(), points.len()))
            .collect()
    }

    /// Changes every point there is.
    pub fn change(&self, change: impl Fn(&mut PointStruct)) {
        let mut collections = self.shared.collections.lock();
        collections.values_mut().flat_map(Points::values_mut).for_each(change);
    }

    /// The text of every payload, as an intruder would read it.
    pub fn dump(&self) -> String {
        format!("{:?}", self.shared.collections.lock())
    }

    /// How often a call was made, such as `Points/Query`.
    pub fn count(&self, call: &str) -> usize {
        let calls = self.shared.calls.lock();
        calls.iter().filter(|made| made.as_str() == call).count()
    }
}

impl Drop for FakeQdrant {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, silent: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(connect(stream, shared.clone(), silent.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(stream: TcpStream, shared: Arc<Shared>, silent: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let (shared, mut silent) = (shared.clone(), silent.clone());
        async move {
            // The sender ends with the server, and so do its connections.
            let _ = silent.wait_for(|is_silent| !is_silent).await;
            Ok::<_, Infallible>(respond(&shared, request).await)
        }
    });
    let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    // A client that goes away ends the connection with an error.
    let _ = serving.await;
}

async fn respond(
    shared: &Shared,
    request: Request<Incoming>,
) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + use<>> {
    let path = request.uri().path().trim_start_matches("/qdrant.").to_owned();
    let given = request
        .headers()
        .get("api-key")
        .and_then(|key| key.to_str().ok())
        .map(str::to_owned);
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let message = body
        .ok()
        .filter(|body| body.len() >= PREFIX)
        .map(|body| body.slice(PREFIX..));
    shared.calls.lock().push(path.clone());
    let answer = match message {
        _ if given != shared.key => Err(UNAUTHENTICATED),
        Some(message) => answer(shared, &path, message),
        None => Err(UNIMPLEMENTED),
    };
    let (framed, code) = match answer {
        Ok(message) => (frame(&message), OK),
        Err(code) => (Bytes::new(), code),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    let body = Full::new(framed).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.map_frame(|frame: Frame<Bytes>| frame));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or_default());
    framed.put_slice(message);
    framed.freeze()
}

fn read<M: Message + Default>(bytes: Bytes) -> Result<M, Code> {
    M::decode(bytes).map_err(|_| UNIMPLEMENTED)
}

fn answer(shared: &Shared, path: &str, bytes: Bytes) -> Result<Vec<u8>, Code> {
    let mut all = shared.collections.lock();
    match path.split_once('/') {
        Some(("Collections", call)) => of_collections(&mut all, call, bytes),
        Some(("Points", call)) => of_points(&mut all, call, bytes),
        _ => Err(UNIMPLEMENTED),
    }
}

fn of_collections(all: &mut BTreeMap<String, Points>, call: &str, bytes: Bytes) -> Result<Vec<u8>, Code> {
    let done = wire::CollectionOperationResponse {
        result: true,
        time: 0.0,
    };
    Ok(match call {
        "CollectionExists" => {
            let request: wire::CollectionExistsRequest = read(bytes)?;
            let exists = all.contains_key(&request.collection_name);
            let result = Some(wire::CollectionExists { exists });
            wire::CollectionExistsResponse { result, time: 0.0 }.encode_to_vec()
        }
        "Create" => {
            let request: wire::CreateCollection = read(bytes)?;
            all.entry(request.collection_name).or_default();
            done.encode_to_vec()
        }
        "Delete" => {
            let request: wire::DeleteCollection = read(bytes)?;
            all.remove(&request.collection_name).ok_or(NOT_FOUND)?;
            done.encode_to_vec()
        }
        "List" => {
            let names = all.keys().cloned();
            let collections = names.map(|name| wire::CollectionDescription { name }).collect();
            wire::ListCollectionsResponse { collections, time: 0.0 }.encode_to_vec()
        }
        _ => return Err(UNIMPLEMENTED),
    })
}

fn of_points(all: &mut BTreeMap<String, Points>, call: &str, bytes: Bytes) -> Result<Vec<u8>, Code> {
    let written = wire::PointsOperationResponse {
        result: Some(wire::UpdateResult::default()),
        ..wire::PointsOperationResponse::default()
    };
    Ok(match call {
        "CreateFieldIndex" => {
            let request: wire::CreateFieldIndexCollection = read(bytes)?;
            all.get(&request.collection_name).ok_or(NOT_FOUND)?;
            written.encode_to_vec()
        }
        "Upsert" => {
            let request: wire::UpsertPoints = read(bytes)?;
            let points = all.get_mut(&request.collection_name).ok_or(NOT_FOUND)?;
            points.extend(request.points.into_iter().map(|point| (id(point.id.as_ref()), point)));
            written.encode_to_vec()
        }
        "Delete" => {
            let request: wire::DeletePoints = read(bytes)?;
            let points = all.get_mut(&request.collection_name).ok_or(NOT_FOUND)?;
            delete(points, request.points);
            written.encode_to_vec()
        }
        "Count" => {
            let request: wire::CountPoints = read(bytes)?;
            let count = all.get(&request.collection_name).ok_or(NOT_FOUND)?.len() as u64;
            let response = wire::CountResponse {
                result: Some(wire::CountResult { count }),
                ..wire::CountResponse::default()
            };
            response.encode_to_vec()
        }
        "Query" => {
            let request: wire::QueryPoints = read(bytes)?;
            let points = all.get(&request.collection_name).ok_or(NOT_FOUND)?;
            query(points, &request)?.encode_to_vec()
        }
        _ => return Err(UNIMPLEMENTED),
    })
}

fn id(id: Option<&wire::PointId>) -> String {
    format!("{id:?}")
}

fn delete(points: &mut Points, selector: Option<wire::PointsSelector>) {
    match selector.and_then(|selector| selector.points_selector_one_of) {
        Some(PointsSelectorOneOf::Points(list)) => {
            for gone in list.ids {
                points.remove(&id(Some(&gone)));
            }
        }
        Some(PointsSelectorOneOf::Filter(filter)) => points.retain(|_, point| !holds(&filter, point)),
        None => {}
    }
}

/// Whether a point meets every condition; one that is not known here is met by none.
fn holds(filter: &Filter, point: &PointStruct) -> bool {
    filter.must.iter().all(|condition| {
        let Some(ConditionOneOf::Field(field)) = &condition.condition_one_of else {
            return false;
        };
        let value = point.payload.get(&field.key).and_then(|value| value.kind.as_ref());
        match (value, &field.r#match, &field.range) {
            (Some(Kind::StringValue(text)), Some(wanted), None) => {
                matches!(&wanted.match_value, Some(MatchValue::Keyword(keyword)) if keyword == text)
            }
            (Some(Kind::IntegerValue(number)), None, Some(range)) => {
                #[expect(clippy::cast_precision_loss, reason = "as the server compares")]
                let number = *number as f64;
                range.gt.is_none_or(|bound| number > bound) && range.lte.is_none_or(|bound| number <= bound)
            }
            _ => false,
        }
    })
}

fn query(points: &Points, request: &wire::QueryPoints) -> Result<wire::QueryResponse, Code> {
    let Some(wire::query::Variant::Nearest(wire::VectorInput {
        variant: Some(wire::vector_input::Variant::Dense(sought)),
    })) = request.query.as_ref().and_then(|query| query.variant.as_ref())
    else {
        return Err(UNIMPLEMENTED);
    };
    let filter = request.filter.as_ref().ok_or(UNIMPLEMENTED)?;
    let met = points.values().filter(|point| holds(filter, point));
    let mut result: Vec<_> = met.filter_map(|point| scored(point, &sought.data)).collect();
    result.sort_by(|a, b| b.score.total_cmp(&a.score));
    result.truncate(usize::try_from(request.limit.unwrap_or(10)).unwrap_or_default());
    Ok(wire::QueryResponse {
        result,
        ..wire::QueryResponse::default()
    })
}

fn scored(point: &PointStruct, sought: &[f32]) -> Option<wire::ScoredPoint> {
    let vectors::VectorsOptions::Vector(vector) = point.vectors.as_ref()?.vectors_options.as_ref()? else {
        return None;
    };
    let vector::Vector::Dense(dense) = vector.vector.as_ref()? else {
        return None;
    };
    let output = wire::VectorOutput {
        vector: Some(wire::vector_output::Vector::Dense(dense.clone())),
        ..wire::VectorOutput::default()
    };
    Some(wire::ScoredPoint {
        id: point.id.clone(),
        payload: point.payload.clone(),
        score: dense.data.iter().zip(sought).map(|(a, b)| a * b).sum(),
        vectors: Some(wire::VectorsOutput {
            vectors_options: Some(wire::vectors_output::VectorsOptions::Vector(output)),
        }),
        ..wire::ScoredPoint::default()
    })
}
