//! What tests and benchmarks need of the machine: real servers in temporary folders, small disks, ports.

mod clickhouse;
mod disk;
mod port;
mod postgres;

pub use clickhouse::ClickHouse;
pub use disk::SmallDisk;
pub use port::free_addresses;
pub use postgres::Postgres;

/// Whether this process may do everything.
pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}
