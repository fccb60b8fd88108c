//! The server from outside: a bound server on free ports over the memory store.

mod api_access;
mod api_catalogue;
mod api_lists;
mod api_status;
mod catalogue;
mod export;
mod grpc;
mod http;
mod openapi;
mod overload;
mod running;
mod stopping;
mod stores;
