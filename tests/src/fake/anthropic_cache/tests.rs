//! Each documented rule of Anthropic's prompt cache.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

mod levels;

/// The smallest prefix that the tests' model caches, in tokens.
const MINIMUM: u64 = 512;

fn mark(ttl: &str) -> Value {
    json!({"type": "ephemeral", "ttl": ttl})
}

/// A text block of so many tokens.
fn text(tokens: usize, letter: &str) -> Value {
    json!({"type": "text", "text": letter.repeat(tokens * 4)})
}

fn marked(mut block: Value, ttl: &str) -> Value {
    block["cache_control"] = mark(ttl);
    block
}

fn request(system: Vec<Value>, content: Vec<Value>) -> Value {
    let mut request = json!({"model": "claude-sonnet-5-5", "messages": [{"role": "user"}]});
    request["system"] = system.into();
    request["messages"][0]["content"] = content.into();
    request
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

/// Reads, and begins the response at once.
fn send(cache: &Cache, request: &Value, now: Duration) -> Tokens {
    let plan = cache.look_up(&read(request, "key", "").unwrap(), MINIMUM, now);
    cache.begin(&plan);
    plan.tokens
}

fn refusal(request: &Value) -> String {
    read(request, "key", "").unwrap_err()
}

#[test]
fn a_mark_writes_its_prefix_and_reads_it_the_next_time() {
    let cache = Cache::default();
    let ask = request(vec![marked(text(600, "s"), "5m")], vec![text(10, "u")]);
    let first = send(&cache, &ask, minutes(0));
    assert_eq!(
        first,
        Tokens {
            write_5m: 600,
            input: 10,
            ..Tokens::default()
        }
    );
    let second = send(&cache, &ask, minutes(1));
    assert_eq!(
        second,
        Tokens {
            read: 600,
            input: 10,
            ..Tokens::default()
        }
    );
}

#[test]
fn without_marks_nothing_is_cached() {
    let cache = Cache::default();
    let ask = request(vec![text(600, "s")], vec![text(10, "u")]);
    for _ in 0..2 {
        assert_eq!(
            send(&cache, &ask, minutes(0)),
            Tokens {
                input: 610,
                ..Tokens::default()
            }
        );
    }
}

#[test]
fn cache_control_is_no_part_of_the_prefix_and_may_move() {
    let cache = Cache::default();
    send(
        &cache,
        &request(vec![marked(text(600, "s"), "5m")], vec![marked(text(10, "u"), "5m")]),
        minutes(0),
    );
    let moved = send(
        &cache,
        &request(vec![text(600, "s")], vec![marked(text(10, "u"), "5m")]),
        minutes(0),
    );
    assert_eq!(
        moved,
        Tokens {
            read: 610,
            ..Tokens::default()
        }
    );
}

#[test]
fn a_string_is_the_one_text_block_it_stands_for() {
    let cache = Cache::default();
    let turn = |content: Value| {
        json!({"model": "claude-sonnet-5-5", "messages": [
            {"role": "user", "content": content}, {"role": "user", "content": [marked(text(5, "b"), "5m")]}]})
    };
    send(&cache, &turn(json!("a".repeat(2_400))), minutes(0));
    assert_eq!(send(&cache, &turn(json!([text(600, "a")])), minutes(0)).read, 605);
}

#[test]
fn a_fifth_mark_is_refused_the_automatic_one_included() {
    let blocks = |count| (0..count).map(|_| marked(text(1, "x"), "5m")).collect::<Vec<_>>();
    assert!(read(&request(vec![], blocks(4)), "key", "").is_ok());
    assert!(
        refusal(&request(vec![], blocks(5)))
            .contains("maximum of 4 blocks with cache_control may be provided. Found 5.")
    );
    let mut automatic = request(blocks(4), vec![text(1, "x")]);
    automatic["cache_control"] = mark("5m");
    assert!(refusal(&automatic).contains("Found 5."));
}

#[test]
fn below_the_minimum_a_prefix_is_silently_not_cached() {
    let cache = Cache::default();
    let ask = request(vec![marked(text(511, "s"), "5m")], vec![text(10, "u")]);
    for _ in 0..2 {
        assert_eq!(
            send(&cache, &ask, minutes(0)),
            Tokens {
                input: 521,
                ..Tokens::default()
            }
        );
    }
    let ask = request(vec![marked(text(512, "s"), "5m")], vec![]);
    assert_eq!(send(&cache, &ask, minutes(0)).write_5m, 512);
}

#[test]
fn a_mark_looks_back_twenty_blocks_itself_included() {
    for (new, read) in [(19, 600), (20, 0)] {
        let cache = Cache::default();
        send(&cache, &request(vec![marked(text(600, "s"), "5m")], vec![]), minutes(0));
        let mut content: Vec<Value> = (0..new).map(|_| text(1, "u")).collect();
        let last = content.pop().unwrap();
        content.push(marked(last, "5m"));
        assert_eq!(
            send(&cache, &request(vec![text(600, "s")], content), minutes(0)).read,
            read,
            "{new} new blocks"
        );
    }
}

#[test]
fn nothing_is_written_before_or_between_marks() {
    let cache = Cache::default();
    send(
        &cache,
        &request(vec![text(600, "s")], vec![marked(text(10, "u"), "5m")]),
        minutes(0),
    );
    let other = request(vec![text(600, "s")], vec![marked(text(10, "v"), "5m")]);
    assert_eq!(
        send(&cache, &other, minutes(0)),
        Tokens {
            write_5m: 610,
            ..Tokens::default()
        }
    );
}

#[test]
fn a_mark_before_the_hit_writes_its_own_entry_free_of_charge() {
    let cache = Cache::default();
    let tail = || marked(text(10, "u"), "5m");
    send(&cache, &request(vec![text(600, "s")], vec![tail()]), minutes(0));
    let both = send(
        &cache,
        &request(vec![marked(text(600, "s"), "5m")], vec![tail()]),
        minutes(0),
    );
    assert_eq!(
        both,
        Tokens {
            read: 610,
            ..Tokens::default()
        }
    );
    let other = send(
        &cache,
        &request(vec![marked(text(600, "s"), "5m")], vec![text(10, "v")]),
        minutes(0),
    );
    assert_eq!(other.read, 600);
}

#[test]
fn an_entry_lives_five_minutes_or_an_hour_and_a_read_renews_it() {
    for (ttl, life) in [("5m", 5), ("1h", 60)] {
        let cache = Cache::default();
        let ask = request(vec![marked(text(600, "s"), ttl)], vec![]);
        send(&cache, &ask, minutes(0));
        let almost = minutes(life).saturating_sub(Duration::from_millis(1));
        assert_eq!(send(&cache, &ask, almost).read, 600, "{ttl} before its end");
        assert_eq!(
            send(&cache, &ask, almost + almost).read,
            600,
            "{ttl} renewed by the read"
        );
        assert_eq!(
            send(&cache, &ask, almost + almost + minutes(life)).read,
            0,
            "{ttl} at its end"
        );
    }
}

#[test]
fn life_counts_from_the_start_of_the_request_that_wrote() {
    let cache = Cache::default();
    let ask = request(vec![marked(text(600, "s"), "5m")], vec![]);
    let plan = cache.look_up(&read(&ask, "key", "").unwrap(), MINIMUM, minutes(0));
    // The response begins after four minutes of thinking; one minute of life is left.
    cache.begin(&plan);
    assert_eq!(send(&cache, &ask, minutes(5)).read, 0);
}

#[test]
fn an_entry_is_visible_only_once_the_response_has_begun() {
    let cache = Cache::default();
    let prompt = read(&request(vec![marked(text(600, "s"), "5m")], vec![]), "key", "").unwrap();
    let plans = [0, 1, 2].map(|_| cache.look_up(&prompt, MINIMUM, minutes(0)));
    assert!(
        plans.iter().all(|plan| plan.tokens.write_5m == 600),
        "each parallel first call pays a write"
    );
    cache.begin(&plans[0]);
    assert_eq!(cache.look_up(&prompt, MINIMUM, minutes(0)).tokens.read, 600);
}

#[test]
fn an_hour_mark_after_a_five_minute_mark_is_refused() {
    let ask = request(vec![marked(text(600, "s"), "5m")], vec![marked(text(600, "u"), "1h")]);
    let message = refusal(&ask);
    assert!(
        message.starts_with("messages.0.content.0.cache_control.ttl: a ttl='1h'"),
        "{message}"
    );
}

#[test]
fn mixed_lives_bill_read_up_to_a_hour_up_to_b_five_minutes_up_to_c() {
    let cache = Cache::default();
    let tools = || json!([{"name": "t", "input_schema": {"pad": "x".repeat(2_400)}, "cache_control": mark("1h")}]);
    let mut first = request(vec![], vec![text(5, "u")]);
    first["tools"] = tools();
    let a = send(&cache, &first, minutes(0)).write_1h;
    let mut second = request(
        vec![marked(text(300, "s"), "1h")],
        vec![marked(text(200, "u"), "5m"), text(7, "v")],
    );
    second["tools"] = tools();
    let paid = send(&cache, &second, minutes(1));
    assert_eq!(
        paid,
        Tokens {
            read: a,
            write_1h: 300,
            write_5m: 200,
            input: 7,
            ..Tokens::default()
        }
    );
}

#[test]
fn the_automatic_mark_lies_on_the_last_block_that_can_carry_one() {
    let cache = Cache::default();
    let mut ask = request(
        vec![text(600, "s")],
        vec![text(10, "u"), json!({"type": "text", "text": ""})],
    );
    ask["cache_control"] = mark("1h");
    assert_eq!(send(&cache, &ask, minutes(0)).write_1h, 610);
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    ask["messages"][0]["content"][1] = thought;
    assert_eq!(
        send(&cache, &ask, minutes(1)).read,
        610,
        "it walked back past the thinking"
    );
}

#[test]
fn the_automatic_mark_on_a_marked_block_is_nothing_or_a_conflict() {
    let mut ask = request(vec![], vec![marked(text(600, "u"), "5m")]);
    ask["cache_control"] = mark("5m");
    assert_eq!(read(&ask, "key", "").unwrap().marks().len(), 1);
    ask["cache_control"] = mark("1h");
    assert!(refusal(&ask).contains("different ttl"));
}

#[test]
fn thinking_and_empty_text_cannot_carry_a_mark() {
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    let message = refusal(&request(vec![], vec![marked(thought, "5m")]));
    assert_eq!(
        message,
        "messages.0.content.0.thinking.cache_control: Extra inputs are not permitted"
    );
    let message = refusal(&request(vec![marked(text(0, ""), "5m")], vec![]));
    assert_eq!(
        message,
        "system.0.text: cache_control cannot be set for empty text blocks"
    );
    assert!(refusal(&request(vec![], vec![marked(text(1, "u"), "2h")])).contains("Input should be '5m' or '1h'"));
}

#[test]
fn a_marked_request_gets_a_five_minute_mark_after_each_server_tool_result() {
    let result = || json!({"type": "web_search_tool_result", "tool_use_id": "w", "content": [{"type": "web_search_result", "title": "r".repeat(40)}]});
    let ask = |system: Value| request(vec![system], vec![result(), text(3, "u")]);
    let cache = Cache::default();
    let paid = send(&cache, &ask(marked(text(600, "s"), "1h")), minutes(0));
    assert_eq!((paid.write_1h, paid.write_5m > 0, paid.input), (600, true, 3));
    assert_eq!(read(&ask(text(600, "s")), "key", "").unwrap().marks(), []);
}
