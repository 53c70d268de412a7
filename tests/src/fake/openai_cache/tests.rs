//! Each documented rule of OpenAI's prompt cache, in both regimes.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::fake::prices::{Provider, find};

const NEW: &str = "gpt-6.2-sol";
const OLD: &str = "gpt-5.5";

fn text(tokens: usize, letter: &str) -> String {
    letter.repeat(tokens * 4)
}

/// A chat of one message for each text.
fn chat(model: &str, texts: &[String]) -> Value {
    let messages: Vec<Value> = texts
        .iter()
        .map(|text| json!({"role": "user", "content": text}))
        .collect();
    json!({"model": model, "messages": messages})
}

fn explicit(text: &str) -> Value {
    json!([{"type": "text", "text": text, "prompt_cache_breakpoint": {"mode": "explicit"}}])
}

fn send(cache: &Cache, request: &Value, seconds: u64) -> Tokens {
    let model = find(Provider::OpenAi, request["model"].as_str().unwrap()).unwrap();
    let plan = cache.look_up(&read(request, "key", model).unwrap(), Duration::from_secs(seconds));
    cache.begin(&plan);
    plan.tokens
}

#[test]
fn at_breakpoints_a_conversation_reads_its_last_turn_and_pays_for_the_new_one() {
    let cache = Cache::default();
    let first = send(&cache, &chat(NEW, &[text(1_100, "a")]), 0);
    assert_eq!(
        first,
        Tokens {
            write_30m: 1_100,
            ..Tokens::default()
        }
    );
    let second = send(&cache, &chat(NEW, &[text(1_100, "a"), text(50, "b")]), 1);
    assert_eq!(
        second,
        Tokens {
            read: 1_100,
            write_30m: 50,
            ..Tokens::default()
        }
    );
}

#[test]
fn at_breakpoints_a_shared_prefix_without_a_breakpoint_is_no_hit() {
    let cache = Cache::default();
    let ask = |tail: &str| chat(NEW, &[text(1_100, "a") + tail]);
    send(&cache, &ask("one"), 0);
    assert_eq!(send(&cache, &ask("two"), 0).read, 0);
}

#[test]
fn an_explicit_breakpoint_shares_a_prefix_between_conversations() {
    let cache = Cache::default();
    let ask = |tail: &str| {
        let mut ask = chat(NEW, &[String::new(), tail.to_owned()]);
        ask["messages"][0]["content"] = explicit(&text(1_100, "a"));
        ask
    };
    assert_eq!(
        send(&cache, &ask("one!"), 0),
        Tokens {
            write_30m: 1_101,
            ..Tokens::default()
        }
    );
    assert_eq!(
        send(&cache, &ask("two!"), 0),
        Tokens {
            read: 1_100,
            write_30m: 1,
            ..Tokens::default()
        }
    );
}

#[test]
fn explicit_mode_without_breakpoints_caches_nothing() {
    let cache = Cache::default();
    let mut ask = chat(NEW, &[text(1_100, "a")]);
    ask["prompt_cache_options"] = json!({"mode": "explicit"});
    for _ in 0..2 {
        assert_eq!(
            send(&cache, &ask, 0),
            Tokens {
                input: 1_100,
                ..Tokens::default()
            }
        );
    }
    ask["messages"] =
        json!([{"role": "user", "content": explicit(&text(1_100, "a"))}, {"role": "user", "content": "tail"}]);
    assert_eq!(
        send(&cache, &ask, 0),
        Tokens {
            write_30m: 1_100,
            input: 1,
            ..Tokens::default()
        }
    );
}

#[test]
fn a_request_writes_the_newest_message_and_its_latest_three_explicit_breakpoints() {
    let cache = Cache::default();
    let texts: Vec<String> = ["a", "b", "c", "d", "e"].map(|letter| text(1_100, letter)).into();
    let mut ask = chat(NEW, &texts);
    for (at, text) in texts.iter().enumerate().take(4) {
        ask["messages"][at]["content"] = explicit(text);
    }
    send(&cache, &ask, 0);
    let first = |count: usize| {
        let mut ask = chat(NEW, &texts[..count]);
        for (at, text) in texts.iter().enumerate().take(count) {
            ask["messages"][at]["content"] = explicit(text);
        }
        ask["prompt_cache_options"] = json!({"mode": "explicit"});
        ask
    };
    let look = |count| {
        let model = find(Provider::OpenAi, NEW).unwrap();
        cache
            .look_up(&read(&first(count), "key", model).unwrap(), Duration::ZERO)
            .tokens
            .read
    };
    assert_eq!([look(1), look(2), look(3), look(4)], [0, 2_200, 3_300, 4_400]);
}

#[test]
fn reads_consider_the_latest_eighty_breakpoints() {
    for (later, read) in [(79, 1_100), (80, 0)] {
        let cache = Cache::default();
        let mut texts = vec![text(1_100, "a")];
        send(&cache, &chat(NEW, &texts), 0);
        texts.extend((0..later).map(|_| text(1, "b")));
        assert_eq!(send(&cache, &chat(NEW, &texts), 0).read, read, "{later} later messages");
    }
}

#[test]
fn below_1024_tokens_nothing_is_cached_in_either_regime() {
    for model in [NEW, OLD] {
        let cache = Cache::default();
        for _ in 0..2 {
            assert_eq!(
                send(&cache, &chat(model, &[text(1_023, "a")]), 0),
                Tokens {
                    input: 1_023,
                    ..Tokens::default()
                }
            );
        }
    }
}

#[test]
fn breakpoints_live_half_an_hour_or_half_a_day_and_reuse_renews() {
    let cache = Cache::default();
    let ask = chat(NEW, &[text(1_100, "a")]);
    send(&cache, &ask, 0);
    assert_eq!(send(&cache, &ask, 1_799).read, 1_100);
    assert_eq!(send(&cache, &ask, 1_799 + 1_799).read, 1_100);
    assert_eq!(send(&cache, &ask, 1_799 + 1_799 + 1_800).read, 0);
    let long = json!({"model": NEW, "input": text(1_100, "l"), "prompt_cache_options": {"ttl": "12h"}});
    assert_eq!(send(&cache, &long, 0).write_12h, 1_100);
    assert_eq!(send(&cache, &long, 43_199).read, 1_100);
}

#[test]
fn chat_completions_do_not_know_twelve_hours() {
    let mut ask = chat(NEW, &[text(1, "a")]);
    ask["prompt_cache_options"] = json!({"ttl": "12h"});
    let model = find(Provider::OpenAi, NEW).unwrap();
    assert_eq!(read(&ask, "key", model).unwrap_err().0, "prompt_cache_options.ttl");
}

#[test]
fn another_key_model_cache_key_effort_or_tier_is_another_prefix() {
    let cache = Cache::default();
    let ask = chat(NEW, &[text(1_100, "a")]);
    send(&cache, &ask, 0);
    for (name, value) in [
        ("model", "gpt-6.1-sol"),
        ("prompt_cache_key", "k"),
        ("reasoning_effort", "low"),
        ("verbosity", "low"),
        ("service_tier", "flex"),
    ] {
        let mut other = ask.clone();
        other[name] = value.into();
        assert_eq!(send(&cache, &other, 0).read, 0, "{name}");
    }
    let model = find(Provider::OpenAi, NEW).unwrap();
    assert_eq!(
        cache
            .look_up(&read(&ask, "other", model).unwrap(), Duration::ZERO)
            .tokens
            .read,
        0
    );
    assert_eq!(send(&cache, &ask, 0).read, 1_100);
}

#[test]
fn before_5_6_the_longest_common_prefix_is_read_in_steps_of_128() {
    let cache = Cache::default();
    let first = send(&cache, &chat(OLD, &[text(1_500, "a")]), 0);
    assert_eq!(
        first,
        Tokens {
            input: 1_500,
            ..Tokens::default()
        },
        "writes are free"
    );
    let shared = text(1_300, "a") + &text(200, "b");
    assert_eq!(
        send(&cache, &chat(OLD, &[shared]), 0),
        Tokens {
            read: 1_280,
            input: 220,
            ..Tokens::default()
        }
    );
    let short = text(1_023, "a") + &text(200, "b");
    assert_eq!(send(&cache, &chat(OLD, &[short]), 0).read, 0);
}

#[test]
fn before_5_6_entries_live_a_day_or_in_memory_five_minutes_and_an_hour_at_most() {
    let cache = Cache::default();
    let mut ask = chat(OLD, &[text(1_024, "a")]);
    send(&cache, &ask, 0);
    assert_eq!(send(&cache, &ask, 86_399).read, 1_024);
    ask["messages"][0]["content"] = text(1_024, "m").into();
    ask["prompt_cache_retention"] = "in_memory".into();
    send(&cache, &ask, 0);
    let mut now = 0;
    while now + 299 < 3_600 {
        now += 299;
        assert_eq!(send(&cache, &ask, now).read, 1_024, "kept warm at {now}");
    }
    assert_eq!(send(&cache, &ask, 3_600).read, 0, "an hour is the most");
}

#[test]
fn tools_and_calls_count_and_match_as_a_whole() {
    let cache = Cache::default();
    let ask = |pad: &str| {
        let tool = json!({"type": "function", "function": {"name": "f", "description": pad.repeat(4_400)}});
        json!({"model": OLD, "tools": [tool], "messages": [{"role": "user", "content": text(1_100, "u")}]})
    };
    let total = send(&cache, &ask("x"), 0).input;
    assert_eq!(total, crate::fake::tokens(&ask("x")));
    assert!(send(&cache, &ask("x"), 0).read > 2_000);
    assert_eq!(send(&cache, &ask("y"), 0).read, 0);
}
