//! The operator's duties towards real Redis servers: users per namespace, and the certificate of the chart's own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acl;
mod chart_redis;
