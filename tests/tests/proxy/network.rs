//! Between us and the provider: TLS with h2 and HTTP/1.1, forward proxies, upgrades.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use llmcache_tests::kit::{Call, Launch, policy};
use parking_lot::Mutex;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::setup::{Act, NOTHING, Raw, Shop, answer, dial, question, read_until};

/// A provider behind TLS for `localhost` that tells how it was asked.
struct Secure {
    port: u16,
    pem: String,
}

/// A forward proxy for CONNECT that dials one port whatever it is asked for.
struct Connect {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Secure {
    async fn start(protocols: &[&str]) -> anyhow::Result<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = hyper::service::service_fn(tell);
                    // A client that hangs up is no failure of this server.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { port, pem: cert.pem() })
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// A policy that names this provider, with its certificate or without.
    fn policy(&self, with_bundle: bool) -> String {
        let bundle = if with_bundle {
            json!({"url": self.url(), "caBundle": self.pem})
        } else {
            json!({"url": self.url()})
        };
        policy(&format!("{NOTHING}\n  upstreams: {{anthropic: {bundle}}}"))
    }
}

/// Says version, target and body size of a request, or echoes an upgraded connection.
async fn tell(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.headers().contains_key(header::UPGRADE) {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let (mut from, mut to) = tokio::io::split(TokioIo::new(upgraded));
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
        let mut response = Response::new(Full::default());
        *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
        return Ok(response);
    }
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map_or(0, |body| body.to_bytes().len());
    let said = json!({"version": format!("{:?}", head.version), "target": head.uri.path(), "bytes": bytes});
    Ok(Response::new(Full::from(said.to_string())))
}

impl Connect {
    async fn start(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://user:word@{}", listener.local_addr()?);
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let kept = heads.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    let head = read_until(&mut stream, "\r\n\r\n").await?;
                    kept.lock().push(head);
                    let mut target = TcpStream::connect(("127.0.0.1", port)).await?;
                    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                    copy_bidirectional(&mut stream, &mut target).await?;
                    anyhow::Ok(())
                });
            }
        });
        Ok(Self { url, heads })
    }
}

fn env(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

async fn ask(launch: Launch) -> anyhow::Result<(u16, Value)> {
    let sidecar = launch.start().await?;
    let reply = sidecar.client().send(&Call::messages(&question("hi"))).await?;
    let again = sidecar.client().send(&Call::messages(&question("hi"))).await?;
    assert_eq!(reply.status, again.status);
    Ok((reply.status.as_u16(), reply.json()?))
}

#[tokio::test]
async fn tls_speaks_the_best_protocol_that_the_provider_offers() -> anyhow::Result<()> {
    for (offered, spoken) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let secure = Secure::start(offered).await?;
        let (status, said) = ask(Launch::new(secure.policy(true), "")).await?;
        assert_eq!((status, said["version"].as_str()), (200, Some(spoken)));
        assert_eq!(said["bytes"], question("hi").to_string().len());
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_unless_the_system_trusts_it() -> anyhow::Result<()> {
    let secure = Secure::start(&["h2"]).await?;
    let (status, _) = ask(Launch::new(secure.policy(false), "")).await?;
    assert_eq!(status, 502);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("roots.pem");
    std::fs::write(&file, &secure.pem)?;
    let trusted = Launch {
        env: vec![env("SSL_CERT_FILE", &file.to_string_lossy())],
        ..Launch::new(secure.policy(false), "")
    };
    assert_eq!(ask(trusted).await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn https_goes_through_the_proxy_of_the_environment() -> anyhow::Result<()> {
    let secure = Secure::start(&["h2"]).await?;
    let proxy = Connect::start(secure.port).await?;
    let launch = Launch {
        env: vec![env("HTTPS_PROXY", &proxy.url)],
        ..Launch::new(secure.policy(true), "")
    };
    assert_eq!(ask(launch).await?.0, 200);
    let heads = proxy.heads.lock().clone();
    let expected = format!("CONNECT localhost:{} HTTP/1.1", secure.port);
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with(&expected), "{heads:?}");
    assert!(
        heads[0].to_lowercase().contains("proxy-authorization: basic "),
        "{heads:?}"
    );
    let around = Launch {
        env: vec![env("HTTPS_PROXY", &proxy.url), env("NO_PROXY", "example.com,localhost")],
        ..Launch::new(secure.policy(true), "")
    };
    assert_eq!(ask(around).await?.0, 200);
    assert_eq!(proxy.heads.lock().len(), 1);
    Ok(())
}

#[tokio::test]
async fn plain_http_goes_through_the_proxy_as_an_absolute_address() -> anyhow::Result<()> {
    let proxy = Raw::start(|_| Act::Say(answer("{\"from\":\"proxy\"}"))).await?;
    let at = proxy.url.replace("http://", "http://user:word@");
    let launch = |extra: &[(String, String)]| Launch {
        env: [&[env("HTTP_PROXY", &at), env("http_proxy", &at)], extra].concat(),
        ..Launch::new(policy(NOTHING), "http://provider.test:1")
    };
    let (status, said) = ask(launch(&[])).await?;
    assert_eq!((status, said["from"].as_str()), (200, Some("proxy")));
    let seen = proxy.seen();
    assert!(
        seen[0].starts_with("POST http://provider.test:1/v1/messages HTTP/1.1\r\n"),
        "{seen:?}"
    );
    assert!(seen[0].contains("proxy-authorization: Basic dXNlcjp3b3Jk"), "{seen:?}");
    let (status, _) = ask(launch(&[
        env("NO_PROXY", "provider.test"),
        env("no_proxy", "provider.test"),
    ]))
    .await?;
    assert_eq!((status, proxy.seen().len()), (502, seen.len()));
    Ok(())
}

async fn echo_through(proxy: &str, path: &str) -> anyhow::Result<()> {
    let mut stream = dial(proxy).await?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer key-a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: dGVzdA==\r\nsec-websocket-version: 13\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let reply = read_until(&mut stream, "\r\n\r\n").await?;
    assert!(reply.starts_with("HTTP/1.1 101"), "{reply}");
    assert!(reply.to_lowercase().contains("upgrade: websocket"), "{reply}");
    for said in ["\u{0}first", "second\u{7f}"] {
        stream.write_all(said.as_bytes()).await?;
        assert_eq!(read_until(&mut stream, said).await?, said);
    }
    Ok(())
}

#[tokio::test]
async fn an_upgrade_tunnels_both_ways() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    echo_through(&shop.sidecar.proxy, "/openai/v1/realtime?model=gpt-realtime").await?;
    let last = shop.last()?;
    assert_eq!(last.target, "/v1/realtime?model=gpt-realtime");
    assert_eq!(last.header("sec-websocket-key"), Some("dGVzdA=="));
    Ok(())
}

#[tokio::test]
async fn an_upgrade_over_tls_speaks_http_1_even_where_h2_is_pooled() -> anyhow::Result<()> {
    let secure = Secure::start(&["h2", "http/1.1"]).await?;
    let sidecar = Launch::new(secure.policy(true), "").start().await?;
    let reply = sidecar.client().send(&Call::messages(&question("hi"))).await?;
    assert_eq!(reply.json()?["version"], "HTTP/2.0");
    echo_through(&sidecar.proxy, "/anthropic/v1/live").await
}
