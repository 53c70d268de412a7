//! One small page of one pod, through the API server: the port need not be reachable from here, loopback included.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Error;
use kube::client::UpgradeConnectionError;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Cluster;
use super::trouble::{Call, chain};

/// Longest wait for one page.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most bytes of a page: ten times what a sidecar with many models exposes.
const MAX_PAGE: usize = 4 << 20;

impl Cluster {
    /// The page at a path of a pod's port, or why there is none.
    pub(crate) async fn page(&self, namespace: &str, pod: &str, port: u16, path: &str) -> Result<String, String> {
        let answer = tokio::time::timeout(PATIENCE, self.forwarded(namespace, pod, port, path)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
    }

    async fn forwarded(&self, namespace: &str, pod: &str, port: u16, path: &str) -> Result<String, String> {
        let pods = self.api::<Pod>(namespace);
        let forwarder = pods.portforward(pod, &[port]).await;
        let mut forwarder = forwarder.map_err(|error| refused(&error, namespace))?;
        let (Some(stream), Some(error)) = (forwarder.take_stream(port), forwarder.take_error(port)) else {
            return Err("the API server forwards no such port".into());
        };
        let page = tokio::select! {
            biased;
            Some(error) = error => Err(error.trim().to_owned()),
            page = page(stream, path) => page,
        };
        forwarder.abort();
        page
    }
}

async fn page(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, path: &str) -> Result<String, String> {
    let opened = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(|error| chain(&error))?;
    let request = http::Request::get(path).header(http::header::HOST, "127.0.0.1");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| chain(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| chain(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_PAGE).collect().await;
        let body = body.map_err(|error| format!("{path} cannot be read: {error}"))?;
        if !status.is_success() {
            return Err(format!("{path} answers {status}"));
        }
        String::from_utf8(body.to_bytes().to_vec()).map_err(|_| format!("{path} is no text"))
    };
    tokio::select! {
        answer = answer => answer,
        Err(error) = connection => Err(chain(&error)),
    }
}

fn refused(error: &Error, namespace: &str) -> String {
    match error {
        Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) if status.as_u16() == 403 => {
            // Kubernetes 1.35 asks for create too.
            Call::on_pods("get", "portforward", namespace).forbidden()
        }
        Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => {
            format!("the API server cannot reach it ({status})")
        }
        error => chain(error),
    }
}
