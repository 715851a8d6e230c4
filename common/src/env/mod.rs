//! Seams that every process shares: time, chance, the end.

pub mod clock;
pub mod entropy;
mod shutdown;

pub use shutdown::{Shutdown, ShutdownTrigger};
