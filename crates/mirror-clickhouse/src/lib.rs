//! The ClickHouse mirror: all families for dashboards, merged behind views.
//!
//! Rows go into tables whose later rows replace earlier ones with the same key, by the primary's revision; a page that comes
//! twice, or in part and again, is merged away. Values go to the server in its binary format, over HTTP.

mod address;
mod error;
mod mirror;
mod read;
mod row_binary;
mod schema;

pub use address::Address;
pub use mirror::ClickHouseMirror;
