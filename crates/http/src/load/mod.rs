//! Stream Load: headers to a request, the body as a stream, the outcome as JSON.

pub(crate) mod body;
pub(crate) mod columns;
pub(crate) mod handler;
mod headers;
pub(crate) mod outcome;
mod refused;
pub(crate) mod request;
