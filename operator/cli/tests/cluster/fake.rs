//! An API server as far as this program asks one: objects by path, and ports of pods by their pages.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

const PROTOCOLS: &str = "sec-websocket-protocol";

/// What it serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// Answers to GET by path.
    pub(crate) objects: BTreeMap<String, Value>,
    /// Answers to POST by path, status first.
    pub(crate) posts: BTreeMap<String, (u16, Value)>,
    /// Paths that this account may not read.
    pub(crate) forbidden: Vec<String>,
    /// Pages by `pod:port/path`.
    pub(crate) pages: BTreeMap<String, String>,
    /// Bodies that were posted.
    pub(crate) posted: Arc<Mutex<Vec<Value>>>,
}

/// Serves until the runtime ends.
pub(crate) async fn serve(world: World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let world = world.clone();
            tokio::spawn(async move { answer(stream, &world).await });
        }
    });
    address
}

async fn answer(mut stream: TcpStream, world: &World) {
    let mut head = vec![0; 16_384];
    let seen = loop {
        let seen = stream.peek(&mut head).await.unwrap_or_default();
        let is_whole = head[..seen].windows(4).any(|end| end == b"\r\n\r\n");
        if is_whole || seen == 0 || seen == head.len() {
            break seen;
        }
        tokio::task::yield_now().await;
    };
    let text = String::from_utf8_lossy(&head[..seen]).into_owned();
    let mut words = text.split_ascii_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    if let Some(pod) = path.strip_suffix("/portforward") {
        let pod = pod.rsplit('/').next().unwrap_or_default();
        let port = target.rsplit("ports=").next().unwrap_or_default();
        forward(stream, &format!("{pod}:{port}"), world).await;
        return;
    }
    let body = request_body(&mut stream, &text).await;
    if target.contains("watch=") {
        // Nothing ever changes.
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.read(&mut [0]).await;
        return;
    }
    let (status, value) = judge(method, path, &body, world);
    let text = value.to_string();
    let reply = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = stream.write_all(reply.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn request_body(stream: &mut TcpStream, head: &str) -> Vec<u8> {
    let lower = head.to_ascii_lowercase();
    let length = lower
        .split("content-length:")
        .nth(1)
        .and_then(|rest| rest.split_ascii_whitespace().next());
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or_default();
    let end = head.find("\r\n\r\n").map_or(head.len(), |at| at + 4);
    let mut all = vec![0; end + length];
    let _ = stream.read_exact(&mut all).await;
    all.split_off(end)
}

fn judge(method: &str, path: &str, body: &[u8], world: &World) -> (u16, Value) {
    if world.forbidden.iter().any(|known| known == path) {
        return status(403, "Forbidden", "x is forbidden: User \"u\" cannot do this");
    }
    if method == "POST" {
        let posted: Value = serde_json::from_slice(body).unwrap();
        world.posted.lock().unwrap().push(posted);
        return world
            .posts
            .get(path)
            .cloned()
            .unwrap_or_else(|| status(404, "NotFound", "no such path"));
    }
    let plural = path.rsplit('/').next().unwrap_or_default();
    match world.objects.get(path) {
        Some(object) => (200, object.clone()),
        None if plural.ends_with('s') => (200, list(Vec::new())),
        None => status(404, "NotFound", "not found"),
    }
}

fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message});
    (code, status)
}

/// A list of objects.
pub(crate) fn list(items: Vec<Value>) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": Value::Array(items)})
}

/// The port-forward protocol for one port: channel 0 carries bytes, channel 1 errors, both begin with the port.
async fn forward(stream: TcpStream, place: &str, world: &World) {
    #[expect(clippy::result_large_err, reason = "the handshake's own signature")]
    let choose = |request: &Request, mut response: Response| {
        let offered = request.headers()[PROTOCOLS]
            .to_str()
            .unwrap()
            .split(',')
            .next()
            .unwrap()
            .trim()
            .to_owned();
        response.headers_mut().insert(PROTOCOLS, offered.parse().unwrap());
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, choose).await else {
        return;
    };
    let port: u16 = place.rsplit(':').next().unwrap().parse().unwrap();
    for channel in [0, 1] {
        let frame = [&[channel][..], &port.to_le_bytes()].concat();
        let _ = socket.send(Message::binary(frame)).await;
    }
    let mut request = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        request.extend_from_slice(message.into_data().get(1..).unwrap_or_default());
        if request.windows(4).any(|end| end == b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    assert!(head.to_ascii_lowercase().contains("host: 127.0.0.1\r\n"), "{head}");
    let path = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    let frame = match world.pages.get(&format!("{place}{path}")) {
        Some(page) => {
            let reply = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
                page.len()
            );
            [&[0][..], reply.as_bytes()].concat()
        }
        None => [&[1][..], b"connection refused"].concat(),
    };
    let _ = socket.send(Message::binary(frame)).await;
    // Until the other side has read it.
    while let Some(Ok(_)) = socket.next().await {}
}
