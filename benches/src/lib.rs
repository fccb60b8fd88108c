//! What the benchmarks share: requests made beforehand, a server process that is measured from outside, and load.

pub mod load;
pub mod payload;
pub mod server;
