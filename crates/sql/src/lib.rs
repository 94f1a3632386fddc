//! StarRocks' SQL as text: [`parse_statements`] turns a text into statements, and every statement back into text.
//!
//! The entry point is [`parse_statements`]; [`ast`] says what comes out. Queries stay `sqlparser`'s own
//! [`sqlparser::ast::Query`]; everything around them is ours, because StarRocks' statements are not in any of
//! `sqlparser`'s dialects. [`dialect`] makes `sqlparser` read expressions as StarRocks does.
//!
//! **Invariants**
//! - Pure: no catalog, no clock, no I/O. The same text always gives the same statements.
//! - A statement that came out of here is shallow enough for a 2 MiB stack: parsing, cloning, comparing, printing,
//!   visiting and dropping it never overflows ([`guard`] says how that is kept).
//! - Every statement prints to a text that parses to an equal statement, secrets aside: they print as `***`.
//! - What is not understood is refused with its place, what is understood and not supported by its name. Nothing is
//!   skipped in silence, except what MySQL defines as a comment, and hints other than `SET_VAR` (`JOIN [SHUFFLE] t`).
//!
//! **Deliberately absent**: names are not looked up, types are not checked, and who may do what is not known here. That
//! is the analysis, and it works on this AST.

pub mod ast;
mod balance;
pub mod dialect;
mod error;
mod files;
pub mod guard;
mod hints;
mod normalize;
mod params;
mod parse;
mod partition_clause;
mod render;
mod scan;
mod types;

pub use ast::Statement;
pub use dialect::StarRocksDialect;
pub use files::{files_properties, is_files_function};
pub use params::{bind_placeholders, count_placeholders};
pub use parse::{ParsedStatement, is_default_value, parse_expression, parse_query, parse_statements};
pub use types::sql_type;
