//! The containers that may call a model: app containers and plain init containers, never another injector's.

use serde_json::Value;

use super::mesh;
use super::patch::pointer;
use super::read::{list, text};

/// One container and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) field: &'static str,
    pub(super) index: usize,
    pub(super) container: &'a Value,
}

/// App containers first, then plain init containers.
pub(super) fn places(pod: &Value) -> Vec<Place<'_>> {
    let of = |field: &'static str| {
        let containers = list(&pod["spec"], field).iter().enumerate();
        containers
            .filter(move |(_, container)| is_app(field, container))
            .map(move |(index, container)| Place {
                field,
                index,
                container,
            })
    };
    of("containers").chain(of("initContainers")).collect()
}

/// Every container of a pod, whoever wrote it.
pub(super) fn all(spec: &Value) -> impl Iterator<Item = &Value> {
    ["containers", "initContainers"]
        .into_iter()
        .flat_map(|field| list(spec, field))
}

/// Whether an init container runs beside the app.
pub(super) fn is_native_sidecar(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

fn is_app(field: &str, container: &Value) -> bool {
    let is_readable = container.is_object() && matches!(container["env"], Value::Null | Value::Array(_));
    let is_plain = field == "containers" || !is_native_sidecar(container);
    is_readable && is_plain && !mesh::is_foreign(text(container, "name"))
}

impl Place<'_> {
    /// Pointer to something of the container.
    pub(super) fn path(&self, steps: &[&str]) -> String {
        let index = self.index.to_string();
        let mut all = vec!["spec", self.field, &index];
        all.extend(steps);
        pointer(&all)
    }

    /// The container's name.
    pub(super) fn name(&self) -> &str {
        text(self.container, "name")
    }
}
