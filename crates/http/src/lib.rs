//! The HTTP front door: Stream Load, StarRocks' REST interface, health and metrics.
//!
//! Entry points: [`Server`] listens and serves a [`Backend`], which the layer above implements.
//! [`StreamLoadRequest::parse`] is the pure reading of a load's headers, [`LoadOutcome`] the answer.
//!
//! **Invariants**
//! - Nobody's data is read before the caller is known and the headers are understood: the body of a load is first
//!   read when the backend asks for it, and only then is `100 Continue` sent.
//! - A load's body is never whole in memory. It is read as fast as the backend takes it, not faster.
//! - A body that did not come to its end is an error, never an end: also when the connection's task is dropped.
//! - [`Backend::stream_load`] is never dropped half way: it runs as its own task and learns of a lost client by the
//!   error of its [`LoadBody`]. (All other methods are dropped when their client goes away.)
//! - Connections, loads at a time, header bytes, silence in a body and the size of all other bodies are bounded by
//!   [`Config`].
//! - A header of Stream Load that is not honoured is refused by name, not ignored.
//!
//! **Deliberately absent**: SQL, Arrow, the catalog and storage; TLS; HTTP/2 (no client of these interfaces needs it);
//! the redirect from frontend to backend (the process is both); transaction loads (`/api/transaction/…` is refused by
//! name); the web page.

mod backend;
mod basic_auth;
mod config;
mod connection;
mod load;
mod query;
mod reply;
mod rest;
mod router;
mod server;

pub use backend::{
    Backend, Bootstrap, Health, LoadState, LoadStateKind, ProcRows, QueryColumn, QueryRequest, QueryRows,
    RestoreState,
};
pub use config::Config;
pub use load::body::LoadBody;
pub use load::columns::LoadColumn;
pub use load::outcome::{ExistingLoad, LoadOutcome, LoadStatus};
pub use load::request::{LoadFormat, StreamLoadRequest};
pub use server::Server;
