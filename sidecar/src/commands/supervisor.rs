//! Process 1 of the container: starts the proxy, starts it again in place when it ends, passes on the order to stop,
//! and buries every child. The container ends with its pod, never before: a container that restarts would take the app
//! out of its Service.

use std::process::{Command, ExitCode};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getppid, kill_process, set_parent_process_death_signal, wait};
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, sleep};

/// Told to a proxy by its supervisor: the process to end with.
const SUPERVISOR: &str = "LLMCACHE_SUPERVISOR";
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);
/// A proxy that ran so long was sound: the next one starts at once.
const SOUND: Duration = Duration::from_mins(1);

/// How long to wait before the next start.
#[derive(Debug, Default)]
struct Pause(Option<Duration>);

/// The orders to stop and the word that a child ended.
struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    child: unix::Signal,
}

/// What ended a wait.
enum Event {
    /// An order to stop.
    Stop(Signal),
    /// Children may have ended.
    Child,
    /// The time is over.
    Time,
}

/// Supervises until told to stop; succeeds.
pub(super) fn run() -> ExitCode {
    loop {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime.and_then(|runtime| runtime.block_on(supervise())) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => tracing::error!(%error, "cannot supervise yet"),
        }
        std::thread::sleep(FIRST);
    }
}

/// A proxy whose supervisor ends without a word ends with it: two would fight for the ports.
pub(super) fn end_with_parent() {
    let Ok(supervisor) = std::env::var(SUPERVISOR) else {
        return;
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        tracing::warn!(%error, "cannot tie this process to its supervisor");
    }
    let is_gone = getppid().is_none_or(|parent| parent.as_raw_nonzero().to_string() != supervisor);
    if is_gone {
        tracing::warn!("the supervisor is gone");
        std::process::exit(1);
    }
}

async fn supervise() -> std::io::Result<()> {
    let mut signals = Signals {
        terminate: unix::signal(SignalKind::terminate())?,
        interrupt: unix::signal(SignalKind::interrupt())?,
        child: unix::signal(SignalKind::child())?,
    };
    let mut pause = Pause::default();
    loop {
        let started = Instant::now();
        match start() {
            Ok(proxy) => {
                if watch(&mut signals, proxy).await {
                    return Ok(());
                }
            }
            Err(error) => tracing::error!(%error, "the proxy cannot be started"),
        }
        let wait = pause.next(started.elapsed());
        tracing::warn!(?wait, "the proxy ended; starting it again");
        let end = Instant::now() + wait;
        loop {
            match signals.next(end.saturating_duration_since(Instant::now())).await {
                Event::Stop(_) => return Ok(()),
                Event::Child => bury(None),
                Event::Time => break,
            };
        }
    }
}

fn start() -> std::io::Result<Pid> {
    let child = Command::new(std::env::current_exe()?)
        .arg("proxy")
        .env(SUPERVISOR, std::process::id().to_string())
        .spawn()?;
    // Its end is seen by `bury`, with that of every other child.
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| std::io::Error::other("the system gave no process id"))
}

/// Watches the proxy until it ends; true = it was told to.
async fn watch(signals: &mut Signals, proxy: Pid) -> bool {
    let mut is_stopping = false;
    loop {
        match signals.next(LONGEST).await {
            Event::Stop(signal) => {
                is_stopping = true;
                if let Err(error) = kill_process(proxy, signal) {
                    tracing::warn!(%error, "cannot pass on the order to stop");
                }
            }
            Event::Child | Event::Time => {}
        }
        if bury(Some(proxy)) {
            return is_stopping;
        }
    }
}

/// Buries every child that has ended; whether this one did.
fn bury(proxy: Option<Pid>) -> bool {
    let mut is_ended = false;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if Some(pid) == proxy => {
                tracing::info!(?status, "the proxy has ended");
                is_ended = true;
            }
            Ok(Some(_)) => {}
            Ok(None) => return is_ended,
            // There is no child at all: it was buried before.
            Err(_) => return true,
        }
    }
}

impl Signals {
    async fn next(&mut self, longest: Duration) -> Event {
        tokio::select! {
            _ = self.terminate.recv() => Event::Stop(Signal::TERM),
            _ = self.interrupt.recv() => Event::Stop(Signal::INT),
            _ = self.child.recv() => Event::Child,
            () = sleep(longest) => Event::Time,
        }
    }
}

impl Pause {
    fn next(&mut self, served: Duration) -> Duration {
        let next = match self.0 {
            Some(last) if served < SOUND => (last * 2).clamp(FIRST, LONGEST),
            _ => Duration::ZERO,
        };
        self.0 = Some(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_pauses_double_until_a_proxy_was_sound() {
        let mut pause = Pause::default();
        let mut after = |served| pause.next(Duration::from_secs(served)).as_secs();
        assert_eq!([0; 7].map(&mut after), [0, 1, 2, 4, 8, 10, 10]);
        assert_eq!(after(60), 0);
        assert_eq!(after(0), 1);
    }
}
