//! JSON as StarRocks loads it: objects one after the other (one per line, or just concatenated), or the elements
//! of an array; columns by key, or by JSON paths.
//!
//! A small machine (`cut`) finds where each row ends, in a stream cut anywhere; `serde_json` reads the row and
//! leaves each value as the text it was, so that numbers never pass through a float.

mod cut;
mod path;
mod reader;
mod value;

pub use reader::{JsonOptions, JsonReader};
