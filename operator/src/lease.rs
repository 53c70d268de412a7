//! Which replica leads: a Lease kept by client-go's rules, with a guard that expires on its own.
//!
//! [`Machine`] decides and knows neither client nor clock; [`Election`] does the calls; [`Leadership`] is what the
//! leader's duties ask before each write. Remote wall clocks are never compared.

mod election;
mod holder;
mod leadership;
mod machine;
mod metrics;
mod record;

pub use election::Election;
pub use holder::{Holder, InvalidHolder};
pub use leadership::{Leadership, State};
pub use machine::{Action, Answer, Machine, Moment, Timing};
pub use metrics::Metrics;
pub use record::{Record, Versioned};
