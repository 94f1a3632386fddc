//! What is kept of a password, and checking a client's proof against it. Pure.
//!
//! Both plugins let a client prove that it knows the password without sending it: it sends a hash masked by a
//! challenge. For each the server keeps a hash of that hash, so what is kept does not let anybody log in.

use cairn_types::{Error, Result};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq as _;

/// Bytes of the challenge of either plugin.
pub(crate) const SCRAMBLE_BYTES: usize = 20;
/// The server's challenge.
pub(crate) type Scramble = [u8; SCRAMBLE_BYTES];

/// `SHA1(SHA1(password))`: what `mysql_native_password` keeps. Shown as `*` and 40 hexadecimal digits, the form of
/// MySQL's `PASSWORD()`; its `Debug` shows nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NativeHash(pub [u8; 20]);

/// `SHA256(SHA256(password))`: what the fast path of `caching_sha2_password` compares. Shown as 64 hexadecimal digits;
/// its `Debug` shows nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha2Digest(pub [u8; 32]);

/// The hash of a password (not of an empty one: see [`Account::with_password`]).
#[must_use]
pub fn native_hash(password: &str) -> NativeHash {
    NativeHash(sha1(&[&sha1(&[password.as_bytes()])]))
}

/// The digest of a password (not of an empty one: see [`Account::with_password`]).
#[must_use]
pub fn sha2_digest(password: &str) -> Sha2Digest {
    Sha2Digest(sha256(&[&sha256(&[password.as_bytes()])]))
}

/// The secret of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    secret: Secret,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Secret {
    /// Only an empty password is right.
    Empty,
    /// With neither hash nobody can log in.
    Hashed { native: Option<NativeHash>, sha2: Option<Sha2Digest> },
}

impl Account {
    /// Keeps what both plugins need. An empty `password` means that the account has none.
    #[must_use]
    pub fn with_password(password: &str) -> Self {
        if password.is_empty() {
            return Self::without_password();
        }
        Self::from_hashes(Some(native_hash(password)), Some(sha2_digest(password)))
    }

    /// Lets anybody in who names no password.
    #[must_use]
    pub fn without_password() -> Self {
        Self { secret: Secret::Empty }
    }

    /// From stored hashes, for instance of `IDENTIFIED WITH mysql_native_password AS '*…'`. With neither the account
    /// is locked.
    #[must_use]
    pub fn from_hashes(native: Option<NativeHash>, sha2: Option<Sha2Digest>) -> Self {
        Self { secret: Secret::Hashed { native, sha2 } }
    }

    pub(crate) fn native(&self) -> Option<NativeHash> {
        match self.secret {
            Secret::Hashed { native, .. } => native,
            Secret::Empty => None,
        }
    }

    pub(crate) fn sha2(&self) -> Option<Sha2Digest> {
        match self.secret {
            Secret::Hashed { sha2, .. } => sha2,
            Secret::Empty => None,
        }
    }

    pub(crate) fn has_no_password(&self) -> bool {
        self.secret == Secret::Empty
    }

    /// Whether `password`, which came in clear (over TLS, or by HTTP's basic authentication), is the account's.
    #[must_use]
    pub fn accepts_password(&self, password: &[u8]) -> bool {
        match self.secret {
            Secret::Empty => password.is_empty(),
            Secret::Hashed { sha2: Some(digest), .. } => same(&sha256(&[&sha256(&[password])]), &digest.0),
            Secret::Hashed { native: Some(hash), .. } => same(&sha1(&[&sha1(&[password])]), &hash.0),
            Secret::Hashed { .. } => false,
        }
    }
}

impl NativeHash {
    /// Whether `response` is `SHA1(password) XOR SHA1(scramble ‖ hash)`.
    pub(crate) fn accepts(&self, scramble: &Scramble, response: &[u8]) -> bool {
        let Ok(response) = <[u8; 20]>::try_from(response) else { return false };
        let stage1 = xor(response, sha1(&[scramble, &self.0]));
        same(&sha1(&[&stage1]), &self.0)
    }
}

impl Sha2Digest {
    /// Whether `response` is `SHA256(password) XOR SHA256(digest ‖ scramble)`.
    pub(crate) fn accepts(&self, scramble: &Scramble, response: &[u8]) -> bool {
        let Ok(response) = <[u8; 32]>::try_from(response) else { return false };
        let stage1 = xor(response, sha256(&[&self.0, scramble]));
        same(&sha256(&[&stage1]), &self.0)
    }
}

impl fmt::Display for NativeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*{}", hex::encode_upper(self.0))
    }
}

impl FromStr for NativeHash {
    type Err = Error;

    /// Reads `*` and 40 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self> {
        let mut hash = [0; 20];
        text.strip_prefix('*')
            .and_then(|digits| hex::decode_to_slice(digits, &mut hash).ok())
            .map(|()| Self(hash))
            .ok_or_else(|| {
                Error::analysis(
                    "Password hash should be a '*' and 40 hexadecimal digits, as PASSWORD('…') prints it",
                )
            })
    }
}

impl fmt::Display for Sha2Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(self.0))
    }
}

impl FromStr for Sha2Digest {
    type Err = Error;

    /// Reads 64 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest)
            .map(|()| Self(digest))
            .map_err(|_| Error::analysis("A caching_sha2_password digest should be 64 hexadecimal digits"))
    }
}

impl fmt::Debug for NativeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NativeHash(***)")
    }
}

impl fmt::Debug for Sha2Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha2Digest(***)")
    }
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    parts.iter().fold(Sha1::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

fn xor<const N: usize>(mut left: [u8; N], right: [u8; N]) -> [u8; N] {
    left.iter_mut().zip(right).for_each(|(left, right)| *left ^= right);
    left
}

fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use mysql_common::auth::plugins::{caching_sha2_password, mysql_native_password};
    use proptest::prelude::*;

    #[test]
    fn the_native_hash_is_mysqls_password_function() {
        let hash = native_hash("secret");
        assert_eq!(hash.to_string(), "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7");
        assert_eq!("*14e65567abdb5135d0cfd9a70b3032c179a49ee7".parse::<NativeHash>().unwrap(), hash);
        for wrong in ["", "*", "14E65567ABDB5135D0CFD9A70B3032C179A49EE7", "*14E6", "*XY", "secret"] {
            assert!(wrong.parse::<NativeHash>().is_err(), "{wrong}");
        }
        let digest = sha2_digest("secret");
        assert_eq!(digest.to_string().parse::<Sha2Digest>().unwrap(), digest);
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let text = format!("{:?}", Account::with_password("secret"));
        assert!(!text.contains("14E6") && text.contains("***"), "{text}");
    }

    #[test]
    fn passwords_sent_in_clear() {
        let check = |account: Account, password: &str, expected: bool| {
            assert_eq!(account.accepts_password(password.as_bytes()), expected, "{account:?} {password}");
        };
        check(Account::with_password("a"), "a", true);
        check(Account::with_password("a"), "b", false);
        check(Account::with_password("a"), "", false);
        check(Account::from_hashes(Some(native_hash("a")), None), "a", true);
        check(Account::from_hashes(None, Some(sha2_digest("a"))), "a", true);
        check(Account::from_hashes(None, None), "", false);
        check(Account::without_password(), "", true);
        check(Account::without_password(), "a", false);
        check(Account::with_password(""), "", true);
    }

    proptest! {
        /// What a client library computes is accepted; for another password or challenge it is not.
        #[test]
        fn proofs_of_clients_are_checked(
            password in "\\PC{1,40}", other in "\\PC{1,40}", scramble: [u8; 20], other_scramble: [u8; 20]
        ) {
            let (native, sha2) = (native_hash(&password), sha2_digest(&password));
            let proof = mysql_native_password::scramble_native(&scramble, password.as_bytes()).unwrap();
            prop_assert!(native.accepts(&scramble, &proof));
            prop_assert_eq!(native.accepts(&other_scramble, &proof), scramble == other_scramble);
            prop_assert_eq!(native_hash(&other).accepts(&scramble, &proof), other == password);
            let proof = caching_sha2_password::scramble_sha256(&scramble, password.as_bytes()).unwrap();
            prop_assert!(sha2.accepts(&scramble, &proof));
            prop_assert_eq!(sha2.accepts(&other_scramble, &proof), scramble == other_scramble);
            prop_assert_eq!(sha2_digest(&other).accepts(&scramble, &proof), other == password);
        }

        #[test]
        fn proofs_of_any_length_are_only_wrong(response in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!native_hash("a").accepts(&[7; 20], &response));
            prop_assert!(!sha2_digest("a").accepts(&[7; 20], &response));
        }
    }
}
