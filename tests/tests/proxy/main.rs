//! The proxy from outside: what reaches the provider, what comes back, how it lives and ends, and where marks go.

mod setup;

mod bodies;
mod endings;
mod guard;
mod headers;
mod marks;
mod network;
mod paths;
mod quiet;
mod resends;
mod startup;
mod talks;
