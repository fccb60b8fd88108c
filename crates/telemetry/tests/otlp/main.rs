//! OTLP requests from outside: against the protocol's own messages, as JSON, and as an enemy would send them.

mod hashes;
mod hostile;
mod json;
mod protobuf;
mod samples;
mod seen;
mod strategies;
