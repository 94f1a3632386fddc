//! Every bound that a user can run into, in one table. Units are in the names.

/// StarRocks: `max_allowed_packet`-independent bound on an identifier.
pub const IDENTIFIER_CHARS_MAX: usize = 1024;
/// Database names (StarRocks: 256).
pub const DATABASE_NAME_CHARS_MAX: usize = 256;
/// Label of a load (StarRocks: 128).
pub const LABEL_CHARS_MAX: usize = 128;
/// Columns of one table (StarRocks: `max_column_num` 10,000).
pub const COLUMNS_MAX: usize = 10_000;
/// Buckets of one partition (StarRocks: 1024).
pub const BUCKETS_MAX: u32 = 1024;
/// Partitions one statement or load may create (StarRocks: `auto_partition_max_creation_number_per_load`).
pub const PARTITIONS_PER_LOAD_MAX: usize = 4096;
/// `CHAR(n)`: 1..=255 bytes.
pub const CHAR_BYTES_MAX: u32 = 255;
/// `VARCHAR(n)`: 1..=1,048,576 bytes.
pub const VARCHAR_BYTES_MAX: u32 = 1_048_576;
/// What `STRING` stands for.
pub const STRING_BYTES_MAX: u32 = 65_533;
/// Digits of a `DECIMAL`.
pub const DECIMAL_PRECISION_MAX: u8 = 38;
/// Nesting and chaining of expressions: deeper ones are refused before planning (a 100,000-term chain must
/// end in an error, not in a stack overflow).
pub const EXPRESSION_DEPTH_MAX: usize = 1_000;
/// Bytes of one SQL text.
pub const SQL_BYTES_MAX: usize = 16 << 20;
