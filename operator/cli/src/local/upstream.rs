//! Addresses given on the command line, judged before anything starts. A value may hold a password, so no message
//! repeats it.

use http::Uri;
use llmcache_operator::compile::upstream::openai_url;

const MAX_URL: usize = 2_048;

/// Anthropic's base URL as the sidecar uses it.
pub(super) fn anthropic(url: &str) -> Result<String, String> {
    check(
        "--anthropic-upstream",
        url,
        &["http", "https"],
        "https://host[:port][/path]",
    )?;
    Ok(url.trim_end_matches('/').to_owned())
}

/// OpenAI's base URL as the sidecar uses it.
pub(super) fn openai(url: &str) -> Result<String, String> {
    check("--openai-upstream", url, &["http", "https"], "https://host[:port]/v1")?;
    Ok(openai_url(url))
}

/// Whether an address is well-formed.
fn check(flag: &str, url: &str, schemes: &[&str], form: &str) -> Result<(), String> {
    let wrong = |what: &str| format!("{flag}: {what}; write {form}");
    if url.len() > MAX_URL {
        return Err(wrong(&format!("over {MAX_URL} bytes")));
    }
    let uri: Uri = url.parse().map_err(|_| wrong("not a URL"))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    if !schemes.contains(&scheme) {
        return Err(wrong(&format!("the scheme is not {}", schemes.join(" or "))));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("no host"));
    }
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = port.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    if port.is_some_and(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(wrong("the port is not a number up to 65535"));
    }
    if uri.query().is_some() {
        return Err(wrong("has a query"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
