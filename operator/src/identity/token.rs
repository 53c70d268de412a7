//! What a token says of itself; believed only after a review, and only for when to ask again.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Longer ones are not tokens of a service account.
pub(super) const LONGEST: usize = 16 * 1024;

#[derive(Deserialize)]
struct Claims {
    exp: u64,
}

/// When it says that it ends; `None` when it says nothing.
pub(super) fn expiry(token: &str) -> Option<SystemTime> {
    let payload = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_read_and_garbage_has_none() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"aud":["a"],"exp":1700000000}"#);
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(expiry(&format!("e30.{payload}.c2ln")), Some(end));
        let huge = URL_SAFE_NO_PAD.encode(r#"{"exp":18446744073709551615}"#);
        for garbage in ["", "a", "a.b.c", "..", "e30.e30.c2ln", &format!("e30.{huge}.c")] {
            assert_eq!(expiry(garbage), None, "{garbage:?}");
        }
    }
}
