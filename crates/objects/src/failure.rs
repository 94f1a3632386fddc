//! Errors of the object store library turned into ours: the kind by which a caller decides, the volume and key it
//! happened to, the whole chain of causes, and no secret.

use cairn_types::{Error, ErrorKind};

/// Values that must not appear in any message.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    pub(crate) fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut values: Vec<_> = values.into_iter().filter(|v| !v.is_empty()).collect();
        // A secret that holds another one goes first, or its rest would stay readable.
        values.sort_by_key(|v| std::cmp::Reverse(v.len()));
        Self(values)
    }

    /// `text` with every secret masked.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "******"))
    }
}

/// Where the library asks for the credentials of the machine when it has no others.
const INSTANCE_METADATA: &str = "169.254.169.254";

/// What was done to which object of which volume.
pub(crate) struct Context<'a> {
    pub(crate) action: &'static str,
    pub(crate) key: &'a str,
    pub(crate) volume: &'a str,
    pub(crate) secrets: &'a Secrets,
}

impl Context<'_> {
    /// An error of `kind` because of `cause`.
    pub(crate) fn error(&self, kind: ErrorKind, cause: &str) -> Error {
        let Self { action, key, volume, secrets } = self;
        let object = if key.is_empty() { String::new() } else { format!(" {key}") };
        Error::new(kind, format!("cannot {action}{object} in volume {volume}: {}", secrets.mask(cause)))
    }

    /// Our error for the library's.
    pub(crate) fn of(&self, error: &object_store::Error) -> Error {
        use object_store::Error as E;
        let causes = chain(error);
        match error {
            E::NotFound { .. } => self.error(ErrorKind::NotFound, "there is no such object"),
            E::AlreadyExists { .. } | E::Precondition { .. } => {
                self.error(ErrorKind::AlreadyExists, "an object with other content is there already")
            }
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => self.error(
                ErrorKind::Unavailable,
                &format!("access was refused, check the volume's credentials: {causes}"),
            ),
            _ if causes.contains(INSTANCE_METADATA) => self.error(
                ErrorKind::Unavailable,
                &format!(
                    "no credentials were given, and this machine has no role: set aws.s3.access_key and \
                     aws.s3.secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: {causes}"
                ),
            ),
            other if is_full(other) => self.error(ErrorKind::ResourceExhausted, &causes),
            _ => self.error(ErrorKind::Unavailable, &causes),
        }
    }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |e| e.source())
}

/// The message and those of its causes that it does not hold already.
fn chain(error: &object_store::Error) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let part = cause.to_string();
        if !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
    }
    text
}

fn is_full(error: &object_store::Error) -> bool {
    causes(error)
        .filter_map(|e| e.downcast_ref::<std::io::Error>())
        .any(|e| matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_causes_are_kept_and_secrets_masked() {
        let secrets = Secrets::new(["hush".to_owned(), String::new(), "hush-hush".to_owned()]);
        let context = Context { action: "write", key: "a/b", volume: "s3://bucket", secrets: &secrets };
        let io = |kind| object_store::Error::Generic {
            store: "S3",
            source: Box::new(std::io::Error::new(kind, "key hush-hush is wrong")),
        };
        let full = context.of(&io(std::io::ErrorKind::StorageFull));
        assert_eq!(full.kind(), ErrorKind::ResourceExhausted);
        let asked = object_store::Error::Generic {
            store: "S3",
            source: "PUT http://169.254.169.254/latest/api/token: timed out".into(),
        };
        assert!(context.of(&asked).message().contains("no credentials were given"));
        let other = context.of(&io(std::io::ErrorKind::Other));
        assert_eq!(other.kind(), ErrorKind::Unavailable);
        assert_eq!(
            other.message(),
            "cannot write a/b in volume s3://bucket: Generic S3 error: key ****** is wrong"
        );
    }
}
