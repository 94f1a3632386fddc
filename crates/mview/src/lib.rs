//! Materialized views, decided: what is stale and why, what a refresh does, in which order, and when.
//!
//! Pure: a catalog in, a decision out. `docs/rfcs/0002-materialized-views.md` is the design.
