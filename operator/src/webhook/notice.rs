//! What happened to a pod, for an Event on what made it.

/// One Event to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Namespace of the pod and its owner.
    pub namespace: String,
    /// The pod's controller, or a bare pod itself.
    pub regarding: Regarding,
    /// The Event's reason.
    pub topic: Topic,
    /// What happened and what to do.
    pub message: String,
}

/// The object that an Event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regarding {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid; a bare pod has none yet.
    pub uid: Option<String>,
}

/// The closed reasons of these Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A pod got the sidecar.
    Injected,
    /// A pod asked for the sidecar and did not get it.
    InjectionSkipped,
}

impl Topic {
    /// The reason as Events have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Injected => "Injected",
            Self::InjectionSkipped => "InjectionSkipped",
        }
    }
}
