use super::*;
use crate::answer::NotAnswer;
use crate::answer::fixtures::{ENDPOINTS, load, read_stream};
use crate::sse::Frames;

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn own_errors() -> [OwnError; 4] {
    let field = "spec.routing.tiers[1].models.openai".to_owned();
    [
        OwnError::DeadUpstream,
        OwnError::NotCached,
        OwnError::NoPolicy,
        OwnError::NoTierModel { field },
    ]
}

#[test]
fn own_errors_wear_the_provider_envelope() {
    let expected = [
        ("api_error", "server_error", "llmcache_upstream"),
        ("timeout_error", "server_error", "llmcache_not_cached"),
        ("overloaded_error", "server_error", "llmcache_no_policy"),
        (
            "invalid_request_error",
            "invalid_request_error",
            "llmcache_no_tier_model",
        ),
    ];
    for (error, (anthropic, openai, code)) in own_errors().iter().zip(expected) {
        let message = error.to_string();
        assert!(message.starts_with("llmcache: "));
        let body = json(&error.body(Provider::Anthropic));
        let inner = json!({"type": anthropic, "message": message});
        assert_eq!(body, json!({"type": "error", "error": inner}));
        let body = json(&error.body(Provider::OpenAi));
        let param = body["error"]["param"].clone();
        let inner = json!({"message": message, "type": openai, "param": param, "code": code});
        assert_eq!(body, json!({"error": inner}));
    }
    assert!(
        own_errors()[3]
            .to_string()
            .contains("spec.routing.tiers[1].models.openai")
    );
}

#[test]
fn only_a_dead_upstream_invites_a_retry() {
    let expected = [(502, None), (504, Some("false")), (503, Some("false")), (400, None)];
    for (error, (status, retry)) in own_errors().iter().zip(expected) {
        for provider in [Provider::Anthropic, Provider::OpenAi] {
            let response = error.response(provider);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
            let header = response.headers().get(X_SHOULD_RETRY);
            assert_eq!(header.map(|value| value.to_str().unwrap()), retry);
        }
    }
}

#[test]
fn a_stream_cut_anywhere_ends_in_an_error_event_of_its_protocol() {
    let message = "llmcache: the upstream \"ended\" the stream early\n";
    for endpoint in ENDPOINTS {
        let stream = load(endpoint, "cut.sse");
        let event = stream_error(endpoint, message);
        for end in 0..stream.len() {
            let cut = [&stream[..end], &event].concat();
            assert_eq!(
                read_stream(endpoint, &cut),
                Err(NotAnswer::ErrorEvent),
                "{endpoint:?} {end}"
            );
            let last = Frames::new(&cut).last().unwrap();
            let error = &json(&last.data)["error"];
            assert_eq!(error["message"], message);
        }
    }
}

#[test]
fn spend_limits_are_told_from_rate_limits() {
    let anthropic = |code: &str| {
        let error = json!({"type": "rate_limit_error", "message": "m", "details": {"error_code": code}});
        let body = json!({"type": "error", "error": error}).to_string();
        read_error(Provider::Anthropic, StatusCode::TOO_MANY_REQUESTS, body.as_bytes())
    };
    assert_eq!(anthropic("enforced_spend_limit_reached").kind, "rate_limit_error");
    assert!(anthropic("enforced_spend_limit_reached").spend_limit);
    assert!(!anthropic("requests_per_minute").spend_limit);

    let openai = |code: Value| {
        let body = json!({"error": {"message": "m", "type": "tokens", "param": null, "code": code}}).to_string();
        read_error(Provider::OpenAi, StatusCode::TOO_MANY_REQUESTS, body.as_bytes())
    };
    assert!(openai(json!("insufficient_quota")).spend_limit);
    assert!(!openai(json!("rate_limit_exceeded")).spend_limit);
    assert_eq!(openai(Value::Null).kind, "tokens");
}

#[test]
fn any_error_body_is_accepted_and_bounded() {
    for provider in [Provider::Anthropic, Provider::OpenAi] {
        for body in ["", "<html>", "[]", "{\"error\":\"x\"}", "{\"error\":{\"type\":\"\"}}"] {
            let error = read_error(provider, StatusCode::BAD_GATEWAY, body.as_bytes());
            assert_eq!(
                error,
                ProviderError {
                    kind: "unknown".to_owned(),
                    spend_limit: false
                }
            );
        }
        let body = json!({"error": {"type": "é".repeat(100)}}).to_string();
        assert_eq!(
            read_error(provider, StatusCode::BAD_GATEWAY, body.as_bytes())
                .kind
                .len(),
            64
        );
    }
}
