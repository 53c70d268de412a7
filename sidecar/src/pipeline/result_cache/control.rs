//! The client's `Cache-Control` request directives (RFC 9111 §5.2.1), as far as they mean something here.

use std::time::Duration;

use http::{HeaderMap, header};

/// What the client allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Control {
    /// Neither read nor write.
    pub no_store: bool,
    /// Go upstream, then store.
    pub no_cache: bool,
    /// Accept only answers at most this old.
    pub max_age: Option<Duration>,
    /// Answer 504 rather than ask the provider.
    pub only_if_cached: bool,
}

impl Control {
    /// Reads the header; unknown and malformed directives mean nothing, as the RFC demands.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for value in headers.get_all(header::CACHE_CONTROL) {
            for directive in value.to_str().unwrap_or_default().split(',') {
                let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
                let seconds = || argument.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
                match name.trim().to_ascii_lowercase().as_str() {
                    "no-store" => control.no_store = true,
                    "no-cache" => control.no_cache = true,
                    "max-age" => control.max_age = seconds().or(control.max_age),
                    "only-if-cached" => control.only_if_cached = true,
                    _ => {}
                }
            }
        }
        control.no_cache |= control.max_age == Some(Duration::ZERO);
        control
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_and_unknown_ones_mean_nothing() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, text.parse().unwrap());
            Control::of(&headers)
        };
        assert_eq!(
            of("no-store"),
            Control {
                no_store: true,
                ..Control::default()
            }
        );
        assert!(of("Max-Age=0").no_cache);
        assert_eq!(of("max-age=\"60\", no-transform").max_age, Some(Duration::from_mins(1)));
        assert_eq!(of("max-age=x, stale, ="), Control::default());
        assert!(of("private,only-if-cached").only_if_cached);
    }
}
