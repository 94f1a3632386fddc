//! Which properties hold secrets, by their names: the one list for volumes, `FILES()`, logs and snapshots.

/// The words in a property's name that say that its value is a secret.
const SECRET_WORDS: [&str; 8] =
    ["secret", "password", "passwd", "access_key", "token", "credential", "shared_key", "private_key"];

/// Whether a property must never be shown, logged, or written into a cluster snapshot.
#[must_use]
pub fn is_secret_property(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_their_names() {
        let check = |name, expected| assert_eq!(is_secret_property(name), expected, "{name}");
        check("aws.s3.secret_key", true);
        check("AWS.S3.ACCESS_KEY", true);
        check("azure.blob.shared_key", true);
        check("aws.s3.endpoint", false);
        check("ttl", false);
    }
}
