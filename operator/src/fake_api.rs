//! An API server in memory, for tests: objects by path, versions, conflicts, watches, and faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is done, and its answer is lost.
    AnswerLost,
    /// It is never answered, and not done.
    Hang,
    /// It is refused with this code.
    Refuse(u16),
}

/// The server; clones share it.
#[derive(Clone, Default)]
pub(crate) struct FakeApi {
    store: Arc<Mutex<Store>>,
    version: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Value>,
    history: Vec<(u64, String, Value)>,
    calls: Vec<String>,
    faults: VecDeque<(String, Fault)>,
    always: Option<Fault>,
}

impl FakeApi {
    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        Client::new(service, "llmcache-system")
    }

    /// The next calls go wrong so, in this order.
    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().map(|fault| (String::new(), fault));
        self.store.lock().faults.extend(faults);
    }

    /// The next call that begins so, as `METHOD path`, goes wrong.
    pub(crate) fn fail_next_of(&self, call: &str, fault: Fault) {
        self.store.lock().faults.push_back((call.to_owned(), fault));
    }

    /// Every call goes wrong so, until told otherwise.
    pub(crate) fn fail_always(&self, fault: Option<Fault>) {
        self.store.lock().always = fault;
    }

    /// The calls so far, as `METHOD path`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.store.lock().calls.clone()
    }

    /// An object as it stands.
    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.store.lock().objects.get(path).cloned()
    }

    /// Puts an object, as another client would.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.write(&mut self.store.lock(), path, object);
    }

    /// Deletes an object, as another client would.
    pub(crate) fn delete(&self, path: &str) {
        let mut store = self.store.lock();
        if let Some(object) = store.objects.remove(path) {
            self.tell(&mut store, path, "DELETED", &object);
        }
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let fault = {
            let mut store = self.store.lock();
            let call = format!("{} {}", request.method(), request.uri().path());
            let position = store.faults.iter().position(|(of, _)| call.starts_with(of));
            let fault = position.and_then(|position| store.faults.remove(position));
            store.calls.push(call);
            store.always.or_else(|| fault.map(|(_, fault)| fault))
        };
        match fault {
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Refuse(code)) => refuse(code),
            Some(Fault::AnswerLost) => {
                self.serve(request).await;
                std::future::pending().await
            }
            None => self.serve(request).await,
        }
    }

    async fn serve(&self, request: Request<Body>) -> Answer {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = head.uri.path().to_owned();
        let query = head.uri.query().unwrap_or_default();
        let is_object = self.store.lock().objects.contains_key(&path);
        match head.method {
            Method::GET if query.contains("watch=true") => self.watch(path, query),
            Method::GET if is_object => respond(200, &self.object(&path).unwrap()),
            Method::GET if is_collection(&path) => self.list(&path, query),
            Method::GET => refuse(404),
            Method::POST => self.create(&path, body),
            Method::PUT => self.replace(&path, body, is_object),
            Method::PATCH => self.patch(&path, &body, is_object),
            _ => refuse(405),
        }
    }

    fn create(&self, path: &str, object: Value) -> Answer {
        let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
        let mut store = self.store.lock();
        if store.objects.contains_key(&path) {
            return refuse(409);
        }
        respond(201, &self.write(&mut store, &path, object))
    }

    fn replace(&self, path: &str, object: Value, is_object: bool) -> Answer {
        let mut store = self.store.lock();
        let wanted = &object["metadata"]["resourceVersion"];
        if !is_object {
            return refuse(404);
        }
        if !wanted.is_null() && *wanted != store.objects[path]["metadata"]["resourceVersion"] {
            return refuse(409);
        }
        respond(200, &self.write(&mut store, path, object))
    }

    fn patch(&self, path: &str, operations: &Value, is_object: bool) -> Answer {
        let mut store = self.store.lock();
        if !is_object {
            return refuse(404);
        }
        let mut object = store.objects[path].clone();
        let operations: json_patch::Patch = serde_json::from_value(operations.clone()).unwrap();
        if json_patch::patch(&mut object, &operations).is_err() {
            return refuse(422);
        }
        respond(200, &self.write(&mut store, path, object))
    }

    fn list(&self, path: &str, query: &str) -> Answer {
        let store = self.store.lock();
        let of_path = store
            .objects
            .iter()
            .filter(|(name, _)| name.rsplit_once('/').is_some_and(|(parent, _)| parent == path));
        let items: Vec<&Value> = of_path
            .map(|(_, object)| object)
            .filter(|it| is_selected(it, query))
            .collect();
        let version = self.version.borrow().to_string();
        respond(
            200,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}),
        )
    }

    fn watch(&self, path: String, query: &str) -> Answer {
        let (store, version, query) = (self.store.clone(), self.version.subscribe(), query.to_owned());
        let from = query.split('&').find_map(|it| it.strip_prefix("resourceVersion="));
        let from: u64 = from.and_then(|it| it.parse().ok()).unwrap_or_default();
        let events = futures_util::stream::unfold((from, version), move |(from, mut version)| {
            let (store, path, query) = (store.clone(), path.clone(), query.clone());
            async move {
                loop {
                    let news = store.lock().history.iter().find_map(|(at, of, event)| {
                        let is_news = *at > from && *of == path && is_selected(&event["object"], &query);
                        is_news.then(|| (*at, format!("{event}\n")))
                    });
                    if let Some((at, line)) = news {
                        return Some((Ok(Frame::data(Bytes::from(line))), (at, version)));
                    }
                    version.changed().await.ok()?;
                }
            }
        });
        Response::new(StreamBody::new(events).boxed_unsync())
    }

    fn write(&self, store: &mut Store, path: &str, mut object: Value) -> Value {
        let next = *self.version.borrow() + 1;
        object["metadata"]["resourceVersion"] = json!(next.to_string());
        let was_there = store.objects.insert(path.to_owned(), object.clone()).is_some();
        let kind = if was_there { "MODIFIED" } else { "ADDED" };
        self.tell(store, path, kind, &object);
        object
    }

    fn tell(&self, store: &mut Store, path: &str, kind: &str, object: &Value) {
        let next = *self.version.borrow() + 1;
        let (collection, _) = path.rsplit_once('/').unwrap();
        let event = json!({"type": kind, "object": object});
        store.history.push((next, collection.to_owned(), event));
        self.version.send_replace(next);
    }
}

/// Whether a path names all objects of a kind.
fn is_collection(path: &str) -> bool {
    let parts = path.trim_matches('/').split('/').count();
    let before = if path.starts_with("/api/") { 2 } else { 3 };
    parts == before + if path.contains("/namespaces/") { 3 } else { 1 }
}

fn is_selected(object: &Value, query: &str) -> bool {
    let wanted = query
        .split('&')
        .find_map(|it| it.strip_prefix("fieldSelector=metadata.name%3D"));
    wanted.is_none_or(|wanted| object["metadata"]["name"] == wanted)
}

fn respond(code: u16, body: &Value) -> Answer {
    let body = Full::new(Bytes::from(body.to_string())).boxed_unsync();
    Response::builder().status(code).body(body).unwrap()
}

fn refuse(code: u16) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": "Test", "message": "refused by the test",
    });
    respond(code, &body)
}
