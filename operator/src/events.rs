//! Events for people: what was decided, said on the object that it is about.
//!
//! Bounded, paced, and never the same twice in ten minutes: a restart storm must not become an Event storm. It is said or
//! dropped; nothing waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

mod repeats;
#[cfg(test)]
mod tests;

use repeats::Repeats;

/// Who reports, in every Event.
pub const REPORTER: &str = "llmcache-operator";
/// Notices that may wait; more are dropped and counted.
pub const QUEUE: usize = 1_024;
/// Most bytes of an Event's note, as the API server demands.
const MAX_NOTE: usize = 1_024;
/// Most bytes of the object's name within the Event's: with a point and 16 digits it stays below 253.
const MAX_NAME: usize = 230;
/// Time between two Events: ten a second.
const PACE: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Something worth saying about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The object.
    pub regarding: ObjectReference,
    /// One word that says what, such as `Injected`.
    pub reason: &'static str,
    /// What was done about it, one word.
    pub action: &'static str,
    /// What happened and what to do; cut to 1 kB.
    pub message: String,
    /// Whether somebody should look.
    pub is_warning: bool,
}

/// Where notices are left; clones share one queue.
#[derive(Clone, Debug)]
pub struct Notices {
    queue: mpsc::Sender<Notice>,
    dropped: Arc<AtomicU64>,
}

/// A queue of [`QUEUE`] notices.
pub fn queue() -> (Notices, mpsc::Receiver<Notice>) {
    let (queue, waiting) = mpsc::channel(QUEUE);
    let dropped = Arc::default();
    (Notices { queue, dropped }, waiting)
}

/// Writes notices as Events, reported by the operator's pod `instance`, until nobody is left to leave any.
pub async fn run(mut waiting: mpsc::Receiver<Notice>, client: Client, instance: String) {
    let mut repeats = Repeats::default();
    while let Some(notice) = waiting.recv().await {
        if !repeats.admit(&notice, Timestamp::now().as_millisecond()) {
            continue;
        }
        if let Err(error) = write(&client, &instance, &notice).await {
            // What was not written may be said again.
            repeats.forget(&notice);
            tracing::warn!(reason = notice.reason, %error, "cannot write an Event");
        }
        sleep(PACE).await;
    }
}

/// Creates one Event. Each is an object of its own: a series would keep the note of its first.
async fn write(client: &Client, instance: &str, notice: &Notice) -> Result<(), String> {
    let event = event(notice, instance, Timestamp::now());
    let namespace = notice.regarding.namespace.as_deref().unwrap_or("default");
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let written = timeout(TIMEOUT, events.create(&PostParams::default(), &event)).await;
    written
        .map_err(|_| "no answer within 5 s".to_owned())?
        .map_err(|error| error.to_string())?;
    Ok(())
}

fn event(notice: &Notice, instance: &str, now: Timestamp) -> Event {
    let name = notice.regarding.name.as_deref().unwrap_or(REPORTER);
    // A name that ends in a point would make two in a row.
    let name = cut(name, MAX_NAME).trim_end_matches(['.', '-']);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:016x}", now.as_nanosecond())),
            namespace: notice.regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        action: Some(notice.action.into()),
        event_time: Some(MicroTime(now)),
        note: Some(cut(&notice.message, MAX_NOTE).into()),
        reason: Some(notice.reason.into()),
        regarding: Some(notice.regarding.clone()),
        reporting_controller: Some(REPORTER.into()),
        reporting_instance: Some(cut(instance, 128).into()),
        type_: Some(if notice.is_warning { "Warning" } else { "Normal" }.into()),
        ..Event::default()
    }
}

/// The longest beginning of at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl Notices {
    /// Leaves a notice; a full queue drops it.
    pub fn tell(&self, notice: Notice) {
        if self.queue.try_send(notice).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
