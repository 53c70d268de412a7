//! A sidecar in a pod: it serves from its first moment, with whatever it has, and nothing at its start ends it.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use crate::in_force::InForce;
use crate::process::{Process, Start};
use crate::push::{Folder, Push};
use crate::run::{self, Error};
use crate::settings::Settings;
use crate::signals::Signals;
use crate::{admin, pipeline, server};

/// Time between two tries of a port that another process has.
const RETRY: Duration = Duration::from_secs(1);
/// Longest time that the last writes to the shared store may take after the drain.
const FLUSH: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT, then drains. When both ports are open it prints the line that `local` prints.
pub(crate) fn run(settings: Settings) -> Result<(), Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    for problem in &settings.problems {
        tracing::error!("{problem}");
    }
    let start = Start {
        prices: settings.prices,
        service_account: settings.service_account,
        model: settings.model,
        memory_limit: settings.memory_limit,
        state: Some(settings.state.clone()),
    };
    let process = Process::start(start, pipeline::REASONS)?;
    let in_force = Arc::new(InForce::pass_through(process, settings.own, settings.memory_limit)?);
    if !settings.problems.is_empty() {
        in_force.note("settings", Some(settings.problems.join("; ")));
    }
    if let Some(operator) = settings.operator {
        let push = Push::resume(operator, in_force.clone(), Folder::new(settings.state));
        tokio::spawn(Arc::new(push).run());
    }
    let (stop, stopped) = watch::channel(false);
    let (proxy_open, proxy_at) = oneshot::channel();
    let (admin_open, admin_at) = oneshot::channel();
    let grace = settings.grace;
    let serving = tokio::spawn({
        let in_force = in_force.clone();
        async move {
            let Some(listener) = bind("proxy port", settings.proxy, &in_force, stopped.clone(), proxy_open).await
            else {
                return;
            };
            let service = move |request| run::dispatch(in_force.clone(), request);
            server::serve(listener, service, stopped, grace).await;
        }
    });
    // It outlives the drain: whoever waits for it wants to see it.
    let (_open, never) = watch::channel(false);
    let watching = tokio::spawn({
        let in_force = in_force.clone();
        async move {
            let Some(listener) = bind("admin port", settings.admin, &in_force, never.clone(), admin_open).await else {
                return;
            };
            let service = move |request| std::future::ready(admin::handle(&in_force, &request));
            server::serve(listener, service, never, grace).await;
        }
    });
    tokio::spawn(say_ready(proxy_at, admin_at));
    signals.received().await;
    stop.send_replace(true);
    if let Err(error) = serving.await {
        tracing::error!(%error, "the proxy ended early");
    }
    in_force.flush(FLUSH).await;
    watching.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Binds as soon as the port is free; none = told to stop before.
async fn bind(
    what: &'static str,
    address: SocketAddr,
    in_force: &InForce,
    mut stop: watch::Receiver<bool>,
    open: oneshot::Sender<SocketAddr>,
) -> Option<TcpListener> {
    let mut is_said = false;
    loop {
        match listen(address)
            .await
            .and_then(|listener| Ok((listener.local_addr()?, listener)))
        {
            Ok((local, listener)) => {
                in_force.note(what, None);
                // Nobody may be waiting for it.
                let _ = open.send(local);
                return Some(listener);
            }
            Err(error) => {
                let problem = format!(
                    "{address} cannot be opened: {error}; free it, or give another by the annotation \
                     llmcache.dev/proxy-port or llmcache.dev/admin-port"
                );
                if !std::mem::replace(&mut is_said, true) {
                    tracing::error!(problem, "{what}");
                }
                in_force.note(what, Some(problem));
            }
        }
        tokio::select! {
            () = sleep(RETRY) => {}
            _ = stop.wait_for(|stop| *stop) => return None,
        }
    }
}

/// All addresses means those of the fourth version alone where there is no sixth.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip().is_unspecified() => TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await,
        bound => bound,
    }
}

async fn say_ready(proxy: oneshot::Receiver<SocketAddr>, admin: oneshot::Receiver<SocketAddr>) {
    let (Ok(proxy), Ok(admin)) = (proxy.await, admin.await) else {
        return;
    };
    let port = admin.port();
    // Nobody needs to read it.
    let _ = writeln!(
        std::io::stdout(),
        "llmcache ready proxy=http://{proxy} admin=http://127.0.0.1:{port}"
    );
}
