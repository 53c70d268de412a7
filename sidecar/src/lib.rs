//! The proxy: one straight pipeline.
