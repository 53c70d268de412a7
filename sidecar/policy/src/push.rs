//! The messages between operator and sidecar, generated from `proto/push.proto`; secrets in them are never printed.

use std::fmt;

mod generated {
    #![expect(
        clippy::pedantic,
        clippy::allow_attributes,
        missing_docs,
        unused_qualifications,
        reason = "generated from proto/push.proto, where the documentation is"
    )]
    include!("push/generated.rs");
}

pub use generated::*;

/// Version of the messages; a side leaves out what the other's version does not know.
pub const PROTOCOL: u32 = 1;

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials(epoch {}, redacted)", self.epoch)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis(redacted)")
    }
}

impl fmt::Debug for Qdrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Qdrant(redacted)")
    }
}
