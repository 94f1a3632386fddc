//! Which snapshot a person means: the URI of a volume, of a cluster in it, of its `meta` folder, or of one snapshot.

use cairn_types::Result;

/// A place to look for snapshots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The URI of the storage volume, without a slash at the end.
    pub location: String,
    /// `None`: every cluster in the volume.
    pub cluster: Option<String>,
    /// `None`: every snapshot of the cluster.
    pub snapshot: Option<String>,
}

impl Source {
    /// Reads `<volume>`, `<volume>/<cluster id>`, `…/meta`, `…/meta/image` or `…/meta/image/<snapshot>`. A cluster id is
    /// 32 hexadecimal digits, so a volume's own path is never taken for one.
    ///
    /// # Errors
    /// `Analysis` for what is no location of a volume.
    pub fn parse(uri: &str) -> Result<Self> {
        let clean = uri.trim_end_matches('/');
        let (_, location) = cairn_catalog::VolumeKind::of_location(uri)?;
        let parts: Vec<&str> = clean.split('/').collect();
        let below = |count: usize| {
            let at = parts.len().checked_sub(count)?;
            let cluster = parts.get(at).filter(|id| is_cluster_id(id))?;
            let location = parts.get(..at)?.join("/");
            // What is left must still be a location: `s3://<cluster id>` is a bucket of that name.
            (!location.ends_with(':') && location != "s3:/").then(|| (location, (*cluster).to_owned()))
        };
        let found = match parts.as_slice() {
            [.., "meta", "image", snapshot] => below(4).map(|place| (place, Some((*snapshot).to_owned()))),
            [.., "meta", "image"] => below(3).map(|place| (place, None)),
            [.., "meta"] => below(2).map(|place| (place, None)),
            _ => below(1).map(|place| (place, None)),
        };
        Ok(match found {
            Some(((location, cluster), snapshot)) => Self { location, cluster: Some(cluster), snapshot },
            None => Self { location, cluster: None, snapshot: None },
        })
    }
}

/// Whether a folder's name is that of a cluster.
pub(crate) fn is_cluster_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_taken_apart() {
        let id = "0123456789abcdef0123456789abcdef";
        let check = |uri: &str, location: &str, cluster: Option<&str>, snapshot: Option<&str>| {
            let expected = Source {
                location: location.to_owned(),
                cluster: cluster.map(str::to_owned),
                snapshot: snapshot.map(str::to_owned),
            };
            assert_eq!(Source::parse(uri).unwrap(), expected, "{uri}");
        };
        check("s3://b/p", "s3://b/p", None, None);
        check("s3://b/meta/", "s3://b/meta", None, None);
        check("file:///srv/x/meta/image", "file:///srv/x/meta/image", None, None);
        check(&format!("s3://{id}"), &format!("s3://{id}"), None, None);
        check(&format!("s3://b/{id}"), "s3://b", Some(id), None);
        check(&format!("s3://b/p/{id}/meta"), "s3://b/p", Some(id), None);
        check(&format!("file:///srv/{id}/meta/image/"), "file:///srv", Some(id), None);
        check(&format!("file:///srv/{id}/meta/image/s1"), "file:///srv", Some(id), Some("s1"));
        for bad in ["", "/srv", "hdfs://a/b"] {
            assert!(Source::parse(bad).is_err(), "{bad}");
        }
    }
}
