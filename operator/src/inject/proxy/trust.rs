//! Certificates that the app trusts: the variable, and the mount behind its path, where every container can have it.

use llmcache_policy::names::{STATE_FOLDER, TOKEN_FOLDER};
use serde_json::{Value, json};

use super::super::apps::Place;
use super::super::container::API_TOKEN_DIR;
use super::super::read::{list, text};
use super::Carried;

/// The variables of OpenSSL.
pub(super) const NAMES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Volumes that are whole before the first container starts, and that no container writes.
const STEADY: [&str; 3] = ["configMap", "secret", "projected"];
/// More paths than anybody lists.
const MOST_PATHS: usize = 16;
/// Where our own mounts are.
const OURS: [&str; 3] = [STATE_FOLDER, TOKEN_FOLDER, API_TOKEN_DIR];

/// Hands one variable on with what it points to. A path of the app's image may exist in ours too.
pub(super) fn carry(
    spec: &Value,
    place: Place<'_>,
    name: &str,
    value: &str,
    carried: &mut Carried,
    warnings: &mut Vec<String>,
) {
    let mut mounts = Vec::new();
    for path in value.split(':').take(MOST_PATHS) {
        let Some(mount) = mount_of(place.container, path) else {
            continue;
        };
        let Some(copy) = copied(spec, mount) else {
            warnings.push(format!(
                "container {}: {name} points into a volume that the sidecar cannot share, so it trusts the system's \
                 certificates; keep them in a ConfigMap or Secret",
                place.name()
            ));
            return;
        };
        mounts.push(copy);
    }
    carried.env.push(json!({"name": name, "value": value}));
    for mount in mounts {
        let is_there = |other: &Value| other["mountPath"] == mount["mountPath"];
        if !carried.mounts.iter().any(is_there) {
            carried.mounts.push(mount);
        }
    }
}

/// The mount that a path lies in.
fn mount_of<'a>(container: &'a Value, path: &str) -> Option<&'a Value> {
    let mounts = list(container, "volumeMounts").iter();
    mounts
        .filter(|mount| {
            let folder = text(mount, "mountPath").trim_end_matches('/');
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .max_by_key(|mount| text(mount, "mountPath").len())
}

/// The same mount for us, read-only.
fn copied(spec: &Value, mount: &Value) -> Option<Value> {
    let folder = text(mount, "mountPath");
    let volume = list(spec, "volumes")
        .iter()
        .find(|volume| volume["name"] == mount["name"])?;
    let is_steady = STEADY.into_iter().any(|kind| volume[kind].is_object());
    let is_apart = OURS
        .into_iter()
        .all(|ours| !ours.starts_with(folder) && !folder.starts_with(ours));
    if !is_steady || !is_apart || mount.get("subPathExpr").is_some() {
        return None;
    }
    let mut copy = json!({"name": mount["name"], "mountPath": folder, "readOnly": true});
    if let Some(path) = mount.get("subPath") {
        copy["subPath"] = path.clone();
    }
    Some(copy)
}
