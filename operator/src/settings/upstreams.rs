//! Hosts that a policy may send requests to.

use llmcache_crds::LLMCachePolicySpec;

/// Every host that a policy names is allowed, or the first that is not, with the fix.
pub(super) fn admit(allowed: &[String], spec: &LLMCachePolicySpec) -> Result<(), String> {
    let Some(upstreams) = &spec.upstreams else {
        return Ok(());
    };
    let anthropic = upstreams
        .anthropic
        .as_ref()
        .and_then(|upstream| upstream.url.as_deref());
    let openai = upstreams.openai.as_ref().and_then(|upstream| upstream.url.as_deref());
    for (provider, url) in [("anthropic", anthropic), ("openai", openai)] {
        let Some(url) = url else { continue };
        let authority = authority(url);
        if !allowed.iter().any(|pattern| admits(pattern, authority)) {
            return Err(format!(
                "spec.upstreams.{provider}.url: {url}: this install does not allow the host {authority}; allowed: {}; \
                 fix: name an allowed host, or have it added to the chart value allowedUpstreams",
                allowed.join(", ")
            ));
        }
    }
    Ok(())
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// A pattern without a port admits every port.
fn admits(pattern: &str, authority: &str) -> bool {
    let (pattern, authority) = (pattern.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let has_port = |text: &str| {
        text.rsplit_once(':')
            .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let host = match authority.rsplit_once(':') {
        Some((host, _)) if has_port(&authority) && !has_port(&pattern) => host,
        _ => &authority,
    };
    match pattern.strip_prefix('*') {
        Some(suffix) => suffix.starts_with('.') && host.len() > suffix.len() && host.ends_with(suffix),
        None => host == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_admits_its_host_its_port_or_names_below() {
        for (pattern, authority, expected) in [
            ("api.openai.com", "api.openai.com", true),
            ("api.openai.com", "API.openai.com:8443", true),
            ("api.openai.com:443", "api.openai.com:443", true),
            ("api.openai.com:443", "api.openai.com:8443", false),
            ("api.openai.com", "evil-api.openai.com", false),
            ("api.openai.com", "api.openai.com.evil.example", false),
            ("*.shop.svc", "fake.shop.svc:8080", true),
            ("*.shop.svc", "shop.svc", false),
            ("*.shop.svc", "fakeshop.svc", false),
            ("*", "anything", false),
            ("[::1]", "[::1]:80", true),
        ] {
            assert_eq!(admits(pattern, authority), expected, "{pattern} {authority}");
        }
    }
}
