//! What the webhook has to say, on the object that people know: a pod's Deployment rather than its ReplicaSet.

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::sync::mpsc;

use crate::events::{self, Notices};
use crate::facts::Key;
use crate::webhook::{Notice, Topic};
use crate::world::{World, Worlds};

/// Passes notices on until the webhook ends.
pub(super) async fn pass_on(mut told: mpsc::Receiver<Notice>, worlds: Worlds, notices: Notices) {
    while let Some(notice) = told.recv().await {
        let regarding = regarding(&notice, &worlds.borrow());
        notices.tell(events::Notice {
            regarding,
            reason: notice.topic.word(),
            action: "Inject",
            message: notice.message,
            is_warning: notice.topic == Topic::InjectionSkipped,
        });
    }
}

fn regarding(notice: &Notice, world: &World) -> ObjectReference {
    let written = &notice.regarding;
    let find = |kind: &str, name: &str| {
        let key = Key {
            namespace: notice.namespace.clone(),
            name: name.to_owned(),
        };
        world.index.owners.get(kind)?.get(&key).cloned()
    };
    let own = find(&written.kind, &written.name);
    let above = own.as_ref().and_then(|own| own.owner.as_ref());
    let root = above.and_then(|above| find(&above.kind, &above.name)).or(own);
    let (api_version, kind, name, uid) = match root {
        Some(root) => (
            root.api_version.clone(),
            root.kind.clone(),
            root.key.name.clone(),
            Some(root.uid.clone()),
        ),
        None => (
            written.api_version.clone(),
            written.kind.clone(),
            written.name.clone(),
            written.uid.clone(),
        ),
    };
    ObjectReference {
        api_version: Some(api_version),
        kind: Some(kind),
        namespace: Some(notice.namespace.clone()),
        name: Some(name),
        uid,
        ..ObjectReference::default()
    }
}
