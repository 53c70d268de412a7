//! What the webhook knows of the cluster.

use std::collections::HashMap;
use std::sync::Arc;

use crate::inject::{Namespace, Settings};

/// One snapshot; watches replace it whole.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What to inject; absent until the certificates that sidecars must trust are known.
    pub settings: Option<Arc<Settings>>,
    /// Namespaces by name.
    pub namespaces: HashMap<String, Arc<Namespace>>,
    /// Minor version of the API server.
    pub server_minor: Option<u32>,
}
