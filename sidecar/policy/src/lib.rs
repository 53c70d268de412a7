//! The language between operator and sidecar: the snapshot a workload executes, one file per stage that
//! has policy, and every name both sides must spell alike. It knows no Kubernetes, no HTTP and no clock.

pub mod duration;
pub mod glob;
pub mod keyword;
pub mod names;
pub mod namespace_key;
pub mod prompt_cache;
pub mod push;
pub mod redis_acl;
pub mod result_cache;
pub mod routing;
pub mod scope;
pub mod semantic_cache;
pub mod snapshot;
pub mod ttl_class;
pub mod upstream;

pub use namespace_key::NamespaceKey;
pub use prompt_cache::PromptCache;
pub use result_cache::ResultCache;
pub use routing::Routing;
pub use scope::Scope;
pub use semantic_cache::SemanticCache;
pub use snapshot::{Identity, Invalidation, Mode, Revision, Snapshot};
pub use ttl_class::TtlClass;
pub use upstream::{Dialect, Upstream, Upstreams};
