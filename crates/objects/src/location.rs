//! Where a volume is: its URI taken apart and checked.

use std::path::PathBuf;

use cairn_types::{Error, Result};

/// A volume's place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Location {
    Folder(PathBuf),
    /// `prefix` has no slash at either end; empty: the whole bucket.
    S3 {
        bucket: String,
        prefix: String,
    },
}

impl Location {
    /// Reads `file:///path` or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// `Analysis` for anything else. The text is not repeated where it could hold credentials.
    pub(crate) fn parse(uri: &str) -> Result<Self> {
        match uri.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => {
                Ok(Self::Folder(PathBuf::from(format!("/{}", path.trim_matches('/')))))
            }
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if !is_bucket(bucket) {
                    return Err(Error::analysis(
                        "the location names no valid S3 bucket: write s3://bucket/path, and credentials as properties",
                    ));
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
            }
            Some((scheme, _)) if scheme != "file" => Err(Error::unsupported(format!(
                "storage locations of the kind {scheme}:// are not supported: write file:///path or s3://bucket/path"
            ))),
            _ => Err(Error::analysis(format!(
                "'{uri}' is no storage location: write file:///path (absolute) or s3://bucket/path"
            ))),
        }
    }
}

fn is_bucket(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !name.is_empty() && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read() {
        let s3 = |bucket: &str, prefix: &str| Location::S3 { bucket: bucket.into(), prefix: prefix.into() };
        for (uri, expected) in [
            ("file:///a/b", Location::Folder("/a/b".into())),
            ("file:///a/b//", Location::Folder("/a/b".into())),
            ("file:///", Location::Folder("/".into())),
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/", s3("bucket", "")),
            ("s3://bucket/a/b/", s3("bucket", "a/b")),
        ] {
            assert_eq!(Location::parse(uri).unwrap(), expected, "{uri}");
        }
        for bad in
            ["", "/a", "file://a", "file:a", "s3://", "s3:///a", "s3://key:secret@bucket/a", "hdfs://a/b"]
        {
            let error = Location::parse(bad).unwrap_err();
            assert!(!error.message().contains("secret"), "{error}");
        }
    }
}
