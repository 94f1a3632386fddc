//! Reading the `Authorization` header.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_types::{Error, ErrorKind, Result};

/// User and password of the header, as they were sent.
///
/// # Errors
/// `AccessDenied` when there is none, or it is not `Basic`, or is broken. Never shows the password.
pub(crate) fn credentials(headers: &HeaderMap) -> Result<(String, String)> {
    let denied = |what: &str| Error::new(ErrorKind::AccessDenied, what);
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| denied("Need auth information: send user and password (curl -u user:password)"))?;
    let value = value.to_str().unwrap_or_default().trim();
    let (scheme, encoded) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(denied("Only basic authentication is supported (curl -u user:password)"));
    }
    let broken = || denied("Broken Authorization header: after 'Basic ' comes base64 of user:password");
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| broken())?;
    let text = String::from_utf8(decoded).map_err(|_| broken())?;
    let (user, password) = text.split_once(':').ok_or_else(broken)?;
    if user.is_empty() {
        return Err(denied("The user name is empty"));
    }
    Ok((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read() {
        let cases = [
            (Some("Basic cm9vdDo="), Some(("root", ""))),
            (Some("basic cm9vdDpwOnc="), Some(("root", "p:w"))),
            (Some("Basic   cm9vdDo= "), Some(("root", ""))),
            (None, None),
            (Some("Bearer abc"), None),
            (Some("Basic"), None),
            (Some("Basic ***"), None),
            (Some("Basic cm9vdA=="), None), // no colon
            (Some("Basic OnB3"), None),     // no user
        ];
        for (header, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("authorization", header.parse().unwrap());
            }
            let found = credentials(&headers);
            let found = found.as_ref().map(|(u, p)| (u.as_str(), p.as_str()));
            assert_eq!(found.ok(), expected, "{header:?}");
        }
    }
}
