//! S3 volumes: StarRocks' properties turned into a client. The only place that reads `AWS_*` from the environment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_types::{Error, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key, S3ConditionalPut};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::failure::Secrets;

/// After this long no further try is begun: an unreachable volume must become an error, not a hang.
const RETRY_TOTAL: Duration = Duration::from_secs(12);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Of one request, body included; requests carry at most [`PART_BYTES`](crate::store::PART_BYTES).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The properties of an S3 volume, read and checked.
#[derive(Default, PartialEq, Eq, Debug)]
struct Properties {
    region: Option<String>,
    endpoint: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
    session_token: Option<String>,
    instance_profile: bool,
    path_style: Option<bool>,
    tls: Option<bool>,
}

impl Properties {
    fn parse(properties: &BTreeMap<String, String>) -> Result<Self> {
        let mut this = Self::default();
        for (name, value) in properties {
            let text = || (!value.is_empty()).then(|| value.clone());
            match name.to_ascii_lowercase().as_str() {
                // Whether the volume may be chosen; its user decides by it.
                "enabled" => {}
                "aws.s3.region" => this.region = text(),
                "aws.s3.endpoint" => this.endpoint = text(),
                "aws.s3.access_key" => this.access_key = text(),
                "aws.s3.secret_key" => this.secret_key = text(),
                "aws.s3.session_token" => this.session_token = text(),
                "aws.s3.use_instance_profile" => this.instance_profile = boolean(name, value)?,
                // What is not given comes from the environment, then from the machine's role, with or without it.
                "aws.s3.use_aws_sdk_default_behavior" => _ = boolean(name, value)?,
                "aws.s3.enable_path_style_access" => this.path_style = Some(boolean(name, value)?),
                "aws.s3.enable_ssl" => this.tls = Some(boolean(name, value)?),
                // Named by StarRocks' documents; off is what we do.
                "aws.s3.enable_partitioned_prefix" | "aws.s3.use_web_identity_token_file"
                    if value == "false" => {}
                _ => {
                    return Err(Error::unsupported(format!(
                        "storage volume property '{name}' is not supported"
                    )));
                }
            }
        }
        match (&this.access_key, &this.secret_key) {
            (Some(_), None) => Err(Error::analysis("aws.s3.access_key is set, aws.s3.secret_key is missing")),
            (None, Some(_)) => Err(Error::analysis("aws.s3.secret_key is set, aws.s3.access_key is missing")),
            (None, None) if this.session_token.is_some() => Err(Error::analysis(
                "aws.s3.session_token is set, aws.s3.access_key and aws.s3.secret_key are missing",
            )),
            _ => Ok(this),
        }
    }

    /// The endpoint with its scheme, and with the bucket in the host name where that style is asked for.
    fn endpoint_url(&self, endpoint: &str, bucket: &str) -> String {
        let (scheme, host) = match endpoint.split_once("://") {
            Some((scheme, host)) => (scheme, host),
            None if self.tls == Some(false) => ("http", endpoint),
            None => ("https", endpoint),
        };
        let host = host.trim_end_matches('/');
        match self.path_style {
            Some(false) => format!("{scheme}://{bucket}.{host}"),
            _ => format!("{scheme}://{host}"),
        }
    }
}

fn boolean(name: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::analysis(format!("storage volume property '{name}' is true or false"))),
    }
}

/// A client for `prefix` in `bucket`, and the secrets that it uses.
pub(crate) fn connect(
    bucket: &str,
    prefix: &str,
    properties: &BTreeMap<String, String>,
) -> Result<(Arc<dyn ObjectStore>, Secrets)> {
    let builder = configure(&AmazonS3Builder::from_env(), bucket, &Properties::parse(properties)?);
    let secret = [Key::AccessKeyId, Key::SecretAccessKey, Key::Token];
    let secrets = Secrets::new(secret.iter().filter_map(|key| builder.get_config_value(key)));
    let client = builder.build().map_err(|e| {
        Error::analysis(format!(
            "the properties of volume s3://{bucket} make no S3 client: {}",
            secrets.mask(&e.to_string())
        ))
    })?;
    let store: Arc<dyn ObjectStore> = match prefix {
        "" => Arc::new(client),
        prefix => Arc::new(PrefixStore::new(client, prefix)),
    };
    Ok((store, secrets))
}

fn configure(environment: &AmazonS3Builder, bucket: &str, properties: &Properties) -> AmazonS3Builder {
    // Credentials come from one place as a whole: a key of the properties with a token of the environment is nobody's.
    let own = properties.access_key.is_some() || properties.instance_profile;
    let mut builder = if own { AmazonS3Builder::new() } else { environment.clone() };
    for (key, value) in [
        (Key::AccessKeyId, &properties.access_key),
        (Key::SecretAccessKey, &properties.secret_key),
        (Key::Token, &properties.session_token),
    ] {
        if let Some(value) = value {
            builder = builder.with_config(key, value);
        }
    }
    let region = properties.region.clone().or_else(|| environment.get_config_value(&Key::Region));
    let endpoint = properties.endpoint.clone().or_else(|| environment.get_config_value(&Key::Endpoint));
    if let Some(endpoint) = &endpoint {
        builder = builder.with_endpoint(properties.endpoint_url(endpoint, bucket));
    }
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(3),
        base: 2.0,
    };
    let client = ClientOptions::new()
        .with_allow_http(true)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT);
    builder
        .with_bucket_name(bucket)
        .with_region(region.unwrap_or_else(|| "us-east-1".to_owned()))
        .with_virtual_hosted_style_request(properties.path_style == Some(false))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(RetryConfig { backoff, max_retries: 8, retry_timeout: RETRY_TOTAL })
        .with_client_options(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn unknown_and_half_properties_are_refused_by_name() {
        for (pairs, said) in [
            (vec![("aws.s3.iam_role_arn", "arn")], "'aws.s3.iam_role_arn' is not supported"),
            (vec![("azure.blob.endpoint", "x")], "'azure.blob.endpoint' is not supported"),
            (vec![("aws.s3.access_key", "AK")], "aws.s3.secret_key is missing"),
            (vec![("aws.s3.secret_key", "hush")], "aws.s3.access_key is missing"),
            (vec![("aws.s3.enable_ssl", "maybe")], "is true or false"),
        ] {
            let error = Properties::parse(&map(&pairs)).unwrap_err();
            assert!(error.message().contains(said), "{error}");
            assert!(!error.message().contains("hush"), "{error}");
        }
        let known =
            [("enabled", "true"), ("aws.s3.enable_partitioned_prefix", "false"), ("aws.s3.region", "")];
        assert_eq!(Properties::parse(&map(&known)).unwrap(), Properties::default());
    }

    #[test]
    fn endpoints_get_a_scheme_and_a_style() {
        for (endpoint, path_style, tls, expected) in [
            ("http://h:9000/", None, None, "http://h:9000"),
            ("h:9000", None, None, "https://h:9000"),
            ("h:9000", Some(true), Some(false), "http://h:9000"),
            ("https://h", Some(false), None, "https://b.h"),
        ] {
            let properties = Properties { path_style, tls, ..Properties::default() };
            assert_eq!(properties.endpoint_url(endpoint, "b"), expected);
        }
    }

    #[test]
    fn what_is_missing_comes_from_the_environment_but_credentials_only_as_a_whole() {
        let environment = AmazonS3Builder::new()
            .with_access_key_id("ENV")
            .with_secret_access_key("env-secret")
            .with_token("env-token")
            .with_region("eu-1");
        let value = |builder: &AmazonS3Builder, key| builder.get_config_value(&key);
        let from_env = configure(&environment, "b", &Properties::default());
        assert_eq!(value(&from_env, Key::AccessKeyId).as_deref(), Some("ENV"));
        assert_eq!(value(&from_env, Key::Region).as_deref(), Some("eu-1"));
        let given =
            map(&[("aws.s3.access_key", "AK"), ("aws.s3.secret_key", "SK"), ("aws.s3.region", "us-9")]);
        let own = configure(&environment, "b", &Properties::parse(&given).unwrap());
        assert_eq!(value(&own, Key::AccessKeyId).as_deref(), Some("AK"));
        assert_eq!(value(&own, Key::Token), None);
        assert_eq!(value(&own, Key::Region).as_deref(), Some("us-9"));
        let machine = map(&[("aws.s3.use_instance_profile", "true")]);
        let machine = configure(&environment, "b", &Properties::parse(&machine).unwrap());
        assert_eq!(value(&machine, Key::AccessKeyId), None);
    }
}
