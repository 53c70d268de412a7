//! The system from outside: its kit, tests and benches.

pub mod bench;
pub mod demo;
pub mod eval;
pub mod fake;
pub mod kit;
