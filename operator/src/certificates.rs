//! The certificates of webhook and push: an own authority and its leaf in one Secret, or a Secret that others keep.
//!
//! [`plan()`] decides and [`Step::apply`] makes; neither knows a client or a clock. [`Keeper`] does the calls, and
//! [`ServingCertificate`] is what the TLS servers ask at each handshake. An authority is replaced in three steps, weeks
//! apart: its successor is trusted, then signs, then the old one is no longer trusted.

mod authority;
mod keeper;
mod metrics;
mod pem;
mod plan;
mod serving;
mod stored;
mod x509;

pub use authority::{Authority, Leaf, LeafTerms};
pub use keeper::{Keeper, Mode};
pub use metrics::Metrics;
pub use plan::{Rotation, Step, plan};
pub use serving::{Rejection, ServingCertificate};
pub use stored::Stored;
pub use x509::Certificate;

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key of the authority is unknown, so nothing can be signed yet.
    #[error("no certificate authority is known yet; wait for the Secret llmcache-operator-tls")]
    NoAuthority,
    /// The text is no certificate.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// A key or a certificate could not be made.
    #[error("the certificate cannot be made: {0}")]
    Unmakable(#[from] rcgen::Error),
}
