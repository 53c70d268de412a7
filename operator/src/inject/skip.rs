//! Pods that asked for the sidecar and cannot have it, and why.

use llmcache_policy::names::{ANNOTATION_ADMIN_PORT, ANNOTATION_PROXY_PORT, CONTAINER, STATE_VOLUME, TOKEN_VOLUME};
use serde_json::Value;

use super::annotation::Choice;
use super::apps::all;
use super::read::{annotation, list, text};
use super::{container, volumes};

/// The first server on which native sidecars are what we rely on.
const OLDEST_SERVER: u32 = 33;
/// Mark of a pod that a kubelet made from a file of its own.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Why a pod was not injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// One word for metrics.
    pub reason: Reason,
    /// What is wrong, and how to mend it.
    pub message: String,
}

/// The closed words of `injection_skips_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Containers name different upstreams, or one that the webhook cannot read.
    ConflictingBaseUrl,
    /// The pod is on its node's network, where our ports would be everybody's.
    HostNetwork,
    /// No resources that fit the namespace.
    LimitRange,
    /// A kubelet made it; the API server only shows it.
    MirrorPod,
    /// Somebody else's container or volume has our name.
    NameCollision,
    /// No native sidecars on this API server.
    OldServer,
    /// A container listens on one of our ports.
    PortCollision,
    /// The app's proxy settings cannot be told to leave loopback alone.
    ProxyEnv,
    /// The sidecar is a Linux program.
    Windows,
}

impl Reason {
    /// Every reason, for the series that exist from the start.
    pub const ALL: [Self; 9] = [
        Self::ConflictingBaseUrl,
        Self::HostNetwork,
        Self::LimitRange,
        Self::MirrorPod,
        Self::NameCollision,
        Self::OldServer,
        Self::PortCollision,
        Self::ProxyEnv,
        Self::Windows,
    ];

    /// The word in metrics and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::ConflictingBaseUrl => "ConflictingBaseUrl",
            Self::HostNetwork => "HostNetwork",
            Self::LimitRange => "LimitRange",
            Self::MirrorPod => "MirrorPod",
            Self::NameCollision => "NameCollision",
            Self::OldServer => "OldServer",
            Self::PortCollision => "PortCollision",
            Self::ProxyEnv => "ProxyEnv",
            Self::Windows => "Windows",
        }
    }

    pub(super) fn because(self, message: impl Into<String>) -> Skip {
        Skip {
            reason: self,
            message: message.into(),
        }
    }
}

/// Everything that stands in the way but environment and resources.
pub(super) fn check(pod: &Value, server_minor: Option<u32>, choice: &Choice) -> Result<(), Skip> {
    place(pod, server_minor)?;
    names(&pod["spec"])?;
    ports(&pod["spec"], choice)
}

fn place(pod: &Value, server_minor: Option<u32>) -> Result<(), Skip> {
    let spec = &pod["spec"];
    if annotation(pod, MIRROR).is_some() {
        return Err(
            Reason::MirrorPod.because("a pod that a kubelet made from a file cannot be changed; use a Deployment")
        );
    }
    if spec["os"]["name"] == "windows" || spec["nodeSelector"]["kubernetes.io/os"] == "windows" {
        return Err(Reason::Windows.because("the sidecar runs on Linux only; run the app on Linux nodes"));
    }
    if spec["hostNetwork"] == true {
        return Err(Reason::HostNetwork.because(
            "the pod uses its node's network, where every pod of the node could reach the sidecar; remove spec.hostNetwork",
        ));
    }
    match server_minor {
        Some(minor) if minor < OLDEST_SERVER => Err(Reason::OldServer.because(format!(
            "the API server is Kubernetes 1.{minor} and the sidecar needs 1.{OLDEST_SERVER}; upgrade the cluster"
        ))),
        _ => Ok(()),
    }
}

fn names(spec: &Value) -> Result<(), Skip> {
    let is_taken = |container: &&Value| text(container, "name") == CONTAINER && !container::is_ours(container);
    if all(spec).find(is_taken).is_some() {
        return Err(Reason::NameCollision.because(format!(
            "a container of the pod is named {CONTAINER}, as the sidecar would be; rename it"
        )));
    }
    let is_taken = |volume: &&Value| {
        let name = text(volume, "name");
        (name == STATE_VOLUME || name == TOKEN_VOLUME) && !volumes::is_ours(volume)
    };
    match list(spec, "volumes").iter().find(is_taken) {
        None => Ok(()),
        Some(volume) => Err(Reason::NameCollision.because(format!(
            "a volume of the pod is named {}, as the sidecar's would be; rename it",
            text(volume, "name")
        ))),
    }
}

fn ports(spec: &Value, choice: &Choice) -> Result<(), Skip> {
    let ours = [
        (choice.proxy_port, ANNOTATION_PROXY_PORT),
        (choice.admin_port, ANNOTATION_ADMIN_PORT),
    ];
    for container in all(spec) {
        for port in list(container, "ports") {
            let is_taken = |ours: u16| port["containerPort"] == ours || port["hostPort"] == ours;
            if let Some((taken, annotation)) = ours.iter().find(|(ours, _)| is_taken(*ours)) {
                let name = text(container, "name");
                return Err(Reason::PortCollision.because(format!(
                    "container {name} uses port {taken}, as the sidecar would; set annotation {annotation} to a free port"
                )));
            }
        }
    }
    Ok(())
}
