//! What a snapshot must hold to be executed at all; whoever compiled it has judged the rest.

use http::Uri;
use llmcache_policy::Snapshot;

/// Says what is wrong with a snapshot.
pub(super) fn check(snapshot: &Snapshot) -> Result<(), String> {
    for (name, upstream) in [
        ("anthropic", &snapshot.upstreams.anthropic),
        ("openai", &snapshot.upstreams.openai),
    ] {
        if let Some(problem) = url_problem(&upstream.url) {
            return Err(format!("upstreams.{name}.url: {problem}"));
        }
    }
    if snapshot.is_pass_through() {
        return Ok(());
    }
    if snapshot.ttl_classes.is_empty() {
        return Err("ttlClasses: there is none, compile the policy again".into());
    }
    let cache = &snapshot.result_cache;
    for (field, value) in [
        ("resultCache.maxEntry", cache.max_entry_bytes),
        ("resultCache.memory", cache.memory_bytes),
        ("resultCache.maxAge", cache.max_age_ms),
    ] {
        if value == 0 {
            return Err(format!("{field}: is 0, give at least 1"));
        }
    }
    Ok(())
}

/// What is wrong with an upstream's base URL; the value may hold a password and is not repeated.
pub(crate) fn url_problem(url: &str) -> Option<&'static str> {
    let uri: Uri = match url.parse() {
        Ok(uri) => uri,
        Err(_) => return Some("is not a URL, write https://host[:port][/path]"),
    };
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) && uri.query().is_none() => None,
        Some("http" | "https") => Some("has no host, or a query; write https://host[:port][/path]"),
        _ => Some("is neither http nor https, write https://host[:port][/path]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_cannot_run_is_named() {
        assert_eq!(check(&Snapshot::pass_through()), Ok(()));
        let mut snapshot = Snapshot::pass_through();
        snapshot.identity.name = "a".into();
        assert_eq!(
            check(&snapshot),
            Err("resultCache.maxEntry: is 0, give at least 1".into())
        );
        snapshot.upstreams.openai.url = "ftp://h".into();
        assert!(
            check(&snapshot)
                .unwrap_err()
                .starts_with("upstreams.openai.url: is neither")
        );
        for wrong in ["", "https://", "https://h?a=b", "h"] {
            assert!(url_problem(wrong).is_some(), "{wrong}");
        }
    }
}
