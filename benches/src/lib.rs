//! What the benchmarks share: requests made beforehand, a server process that is measured from outside, load, and tables.

pub mod load;
pub mod payload;
pub mod server;
pub mod table;
