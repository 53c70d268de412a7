//! The lines to try while the demo keeps serving.

/// `curl` and SDK lines against this proxy.
pub(crate) fn lines(proxy: &str, admin: &str) -> String {
    format!(
        r#"
Serving until Ctrl-C. Try it (any key; ask twice and watch Cache-Status):

  curl -si {proxy}/anthropic/v1/messages -H 'x-api-key: any' -H 'anthropic-version: 2026-10-21' \
    -d '{{"model": "auto", "max_tokens": 200, "messages": [{{"role": "user", "content": "What is a cache?"}}]}}'
  curl -si {proxy}/openai/v1/chat/completions -H 'Authorization: Bearer any' \
    -d '{{"model": "gpt-6.1-terra", "messages": [{{"role": "user", "content": "What is a cache?"}}]}}'

  Python  Anthropic(base_url="{proxy}/anthropic", api_key="any")   OpenAI(base_url="{proxy}/openai/v1", api_key="any")
  Node    new Anthropic({{baseURL: "{proxy}/anthropic", apiKey: "any"}})

  curl -s {proxy}/llmcache/account      the ledger
  curl -s {admin}/metrics               the same for Prometheus
  curl -s {proxy}/llmcache/invalidate -H 'content-type: application/json' -d '{{"pattern": "*"}}'
"#
    )
}
