//! kubectl llmcache: what people type, and local.
