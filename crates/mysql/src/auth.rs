//! Which plugin to use with a client, and what to answer to its proof. Pure: decisions only, `login` acts on them.

use crate::account::{Account, Scramble};

/// An authentication plugin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plugin {
    /// `mysql_native_password`: what old clients and MariaDB's have.
    Native,
    /// `caching_sha2_password`: the default of MySQL 8, and the only one of MySQL 9 clients.
    CachingSha2,
}

impl Plugin {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
        }
    }

    /// The plugin of this name, if it is one of ours.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Native, Self::CachingSha2].into_iter().find(|plugin| plugin.name() == name)
    }
}

/// What a client can do, as far as logging in is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Terms {
    pub(crate) tls: bool,
    /// The client understands a request to use another plugin, and was not asked to before.
    pub(crate) may_switch: bool,
}

/// The next step of a login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Accept,
    /// Accept, after the note by which caching_sha2_password says that no more is needed.
    AcceptFast,
    Deny,
    /// Ask for the password itself (only over TLS).
    AskPassword,
    /// Ask for a proof by this plugin.
    Switch(Plugin),
    /// The account's hash cannot be checked with this client over this connection.
    Impossible,
}

/// The plugin to ask for when the client must be asked: its own one if the account can be checked by it, else the one
/// the account has a hash for.
pub(crate) fn plugin_for(account: &Account, client: Option<Plugin>, tls: bool) -> Plugin {
    let usable = |plugin| match plugin {
        Plugin::Native => account.native().is_some() || account.has_no_password(),
        // Over TLS the password itself can be asked for, which any hash can check.
        Plugin::CachingSha2 => account.sha2().is_some() || account.has_no_password() || tls,
    };
    match client {
        Some(plugin) if usable(plugin) => plugin,
        _ if usable(Plugin::Native) => Plugin::Native,
        _ => Plugin::CachingSha2,
    }
}

/// What to answer to `response`, the client's proof by `plugin` for `scramble`.
pub(crate) fn judge(
    account: &Account,
    plugin: Plugin,
    scramble: &Scramble,
    response: &[u8],
    terms: Terms,
) -> Verdict {
    if account.has_no_password() {
        // caching_sha2_password clients say "no password" by a single zero byte.
        return verdict(response.is_empty() || response == [0]);
    }
    if account.native().is_none() && account.sha2().is_none() {
        return Verdict::Deny;
    }
    match plugin {
        Plugin::Native => match account.native() {
            Some(hash) => verdict(hash.accepts(scramble, response)),
            None if terms.may_switch => Verdict::Switch(Plugin::CachingSha2),
            None => Verdict::Impossible,
        },
        Plugin::CachingSha2 => match account.sha2() {
            Some(digest) if digest.accepts(scramble, response) => Verdict::AcceptFast,
            Some(_) => Verdict::Deny,
            None if terms.tls => Verdict::AskPassword,
            None if terms.may_switch => Verdict::Switch(Plugin::Native),
            None => Verdict::Impossible,
        },
    }
}

fn verdict(accept: bool) -> Verdict {
    if accept { Verdict::Accept } else { Verdict::Deny }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::account::{native_hash, sha2_digest};
    use mysql_common::auth::plugins::{caching_sha2_password, mysql_native_password};

    const SCRAMBLE: Scramble = [5; 20];
    const PLAIN: Terms = Terms { tls: false, may_switch: true };
    const TLS: Terms = Terms { tls: true, may_switch: true };
    const LAST_WORD: Terms = Terms { tls: false, may_switch: false };

    fn both() -> Account {
        Account::with_password("pw")
    }
    fn native_only() -> Account {
        Account::from_hashes(Some(native_hash("pw")), None)
    }
    fn sha2_only() -> Account {
        Account::from_hashes(None, Some(sha2_digest("pw")))
    }
    fn locked() -> Account {
        Account::from_hashes(None, None)
    }

    #[test]
    fn every_kind_of_account_meets_every_kind_of_client() {
        use Plugin::{CachingSha2, Native};
        use Verdict::{Accept, AcceptFast, AskPassword, Deny, Impossible, Switch};
        let native = mysql_native_password::scramble_native(&SCRAMBLE, b"pw").unwrap();
        let sha2 = caching_sha2_password::scramble_sha256(&SCRAMBLE, b"pw").unwrap();
        let check = |account: Account, plugin, response: &[u8], terms, expected| {
            let verdict = judge(&account, plugin, &SCRAMBLE, response, terms);
            assert_eq!(verdict, expected, "{account:?} {plugin:?} {terms:?}");
        };
        check(both(), Native, &native, PLAIN, Accept);
        check(both(), CachingSha2, &sha2, PLAIN, AcceptFast);
        check(both(), Native, b"", PLAIN, Deny);
        check(both(), CachingSha2, b"", PLAIN, Deny);
        check(both(), CachingSha2, b"\0", PLAIN, Deny);
        check(both(), Native, &sha2, PLAIN, Deny);
        check(native_only(), Native, &native, LAST_WORD, Accept);
        check(native_only(), CachingSha2, &sha2, PLAIN, Switch(Native));
        check(native_only(), CachingSha2, &sha2, TLS, AskPassword);
        check(native_only(), CachingSha2, &sha2, LAST_WORD, Impossible);
        check(sha2_only(), CachingSha2, &sha2, LAST_WORD, AcceptFast);
        check(sha2_only(), Native, &native, PLAIN, Switch(CachingSha2));
        check(sha2_only(), Native, &native, LAST_WORD, Impossible);
        check(locked(), Native, &native, PLAIN, Deny);
        check(locked(), CachingSha2, b"", TLS, Deny);
        check(Account::without_password(), Native, b"", PLAIN, Accept);
        check(Account::without_password(), CachingSha2, b"\0", PLAIN, Accept);
        check(Account::without_password(), Native, &native, PLAIN, Deny);
    }

    #[test]
    fn the_plugin_asked_for_suits_account_and_client() {
        use Plugin::{CachingSha2, Native};
        let check = |account, client, tls, expected| {
            assert_eq!(plugin_for(&account, client, tls), expected, "{account:?} {client:?} tls={tls}");
        };
        check(both(), Some(CachingSha2), false, CachingSha2);
        check(both(), Some(Native), false, Native);
        check(both(), None, false, Native);
        check(native_only(), Some(CachingSha2), false, Native);
        check(native_only(), Some(CachingSha2), true, CachingSha2);
        check(sha2_only(), Some(Native), false, CachingSha2);
        check(sha2_only(), None, false, CachingSha2);
        check(Account::without_password(), Some(CachingSha2), false, CachingSha2);
    }
}
