//! The engine as its users see it.

mod backup;
mod calls;
mod limits;
mod power;
mod shutdown;
mod support;
mod together;
