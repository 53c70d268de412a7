use super::*;

#[test]
fn base_urls_mean_what_the_sdk_means() {
    let cases = [
        (openai("http://127.0.0.1:9000"), "http://127.0.0.1:9000/v1"),
        (openai("https://vllm.example/api/v3/"), "https://vllm.example/api/v3"),
        (anthropic("http://[::1]:9000/"), "http://[::1]:9000"),
        (
            anthropic("https://gateway.example/anthropic"),
            "https://gateway.example/anthropic",
        ),
    ];
    for (url, expected) in cases {
        assert_eq!(url.as_deref(), Ok(expected));
    }
}

#[test]
fn malformed_addresses_name_flag_and_fix_and_keep_the_secret() {
    for (url, what) in [
        ("localhost:8000", "the scheme is not http or https"),
        ("ftp://:pass-word@localhost", "the scheme is not http or https"),
        ("https://", "not a URL"),
        ("https://:pass-word@host:port", "the port is not a number up to 65535"),
        ("https://:pass-word@host:70000", "the port is not a number up to 65535"),
        ("https://:pass-word@host/v1?x=1", "has a query"),
        ("pass-word ", "not a URL"),
        ("", "not a URL"),
    ] {
        let expected = format!("--openai-upstream: {what}; write https://host[:port]/v1");
        assert_eq!(openai(url), Err(expected), "{url}");
    }
    let expected = "--openai-upstream: the scheme is not http or https; write https://host[:port]/v1";
    assert_eq!(openai("ftp://x"), Err(expected.into()));
    let expected = "--anthropic-upstream: not a URL; write https://host[:port][/path]";
    assert_eq!(anthropic("http://"), Err(expected.into()));
}
