//! `cairn.toml`: what the command line does not say.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cairn_env::files;
use cairn_types::{Error, Result};
use serde::Deserialize;

/// The file that is read when none is named and it is there.
const DEFAULT_FILE: &str = "cairn.toml";

/// The configuration file. Everything in it is optional; an unknown key is an error.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub data_dir: Option<PathBuf>,
    pub storage: Option<String>,
    pub listen: Option<IpAddr>,
    pub mysql_port: Option<u16>,
    pub http_port: Option<u16>,
    /// `aws.s3.endpoint = "…"` and the like, for `storage` and for `cairn snapshot`.
    pub storage_properties: BTreeMap<String, String>,
    pub tls: Tls,
    pub limits: Limits,
    pub log: Log,
}

/// Files in PEM; without them a certificate is made for each run.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// Memory and disk; what is not given follows from the machine.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub query_bytes_max: Option<usize>,
    pub cache_bytes_max: Option<usize>,
    pub load_bytes_max: Option<usize>,
    pub spill_bytes_max: Option<u64>,
    pub parallelism: Option<usize>,
}

/// What is logged, and how.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// As `RUST_LOG`: `info`, `cairn_storage=debug`…
    pub filter: Option<String>,
    /// One JSON object a line.
    pub json: bool,
}

impl Config {
    /// Reads `file`, or `cairn.toml` if that is there.
    ///
    /// # Errors
    /// `NotFound` for a named file that is missing; `Parse` with the place of a mistake.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let text = match file {
            Some(file) => files::read(file)?,
            None => files::read_optional(Path::new(DEFAULT_FILE))?.unwrap_or_default(),
        };
        let shown = file.unwrap_or(Path::new(DEFAULT_FILE)).display();
        let text = String::from_utf8(text).map_err(|_| Error::parse(format!("{shown} is no UTF-8 text")))?;
        toml::from_str(&text).map_err(|e| Error::parse(format!("{shown}: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_say_all_of_it() {
        let text = r#"
            storage = "s3://b/p"
            mysql_port = 9031
            storage_properties = { "aws.s3.endpoint" = "http://127.0.0.1:5000" }
            [limits]
            query_bytes_max = 1000
            [log]
            json = true
        "#;
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.storage_properties["aws.s3.endpoint"], "http://127.0.0.1:5000");
        assert_eq!(
            (config.mysql_port, config.limits.query_bytes_max, config.log.json),
            (Some(9031), Some(1000), true)
        );
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = toml::from_str::<Config>("mysql_prot = 1").unwrap_err().to_string();
        assert!(error.contains("mysql_prot"), "{error}");
    }
}
