//! What a change of a request leaves readable.

use super::*;

#[test]
fn each_model_workspace_and_set_of_betas_has_its_own_cache() {
    let cache = Cache::default();
    let mut ask = request(vec![marked(text(600, "s"), "5m")], vec![]);
    let look = |ask: &Value, key, betas| {
        cache
            .look_up(&read(ask, key, betas).unwrap(), MINIMUM, minutes(0))
            .tokens
            .read
    };
    send(&cache, &ask, minutes(0));
    assert_eq!(look(&ask, "key", ""), 600);
    assert_eq!(look(&ask, "other", ""), 0);
    assert_eq!(look(&ask, "key", "some-beta"), 0);
    ask["model"] = "claude-opus-5-5".into();
    assert_eq!(look(&ask, "key", ""), 0);
}

/// A request with a mark at the end of each level, after a change.
fn levels(change: impl FnOnce(&mut Value)) -> Value {
    let mut ask = request(vec![marked(text(600, "s"), "5m")], vec![marked(text(600, "u"), "5m")]);
    ask["tools"] = json!([
        {"name": "t", "input_schema": {"pad": "x".repeat(2_400)}, "cache_control": mark("5m")}]);
    change(&mut ask);
    ask
}

/// How many levels are still read after a change: 1 tools, 2 and system, 3 and messages.
fn survivors(change: impl FnOnce(&mut Value)) -> usize {
    let cache = Cache::default();
    send(&cache, &levels(|_| {}), minutes(0));
    let prompt = read(&levels(change), "key", "").unwrap();
    let live = |mark: &&Mark| cache.0.lock().contains_key(&prompt.prefix(mark.at));
    prompt.marks().iter().take_while(live).count()
}

#[test]
fn a_change_invalidates_its_level_and_those_after_it() {
    assert_eq!(survivors(|_| {}), 3);
    assert_eq!(survivors(|ask| ask["tools"][0]["description"] = "new".into()), 0);
    assert_eq!(survivors(|ask| ask["system"][0]["text"] = "x".repeat(2_400).into()), 1);
    assert_eq!(survivors(|ask| ask["speed"] = "fast".into()), 1);
    let web_search = json!({"type": "web_search_20260318", "name": "web_search"});
    assert_eq!(
        survivors(|ask| ask["tools"].as_array_mut().unwrap().push(web_search)),
        1
    );
    assert_eq!(survivors(|ask| ask["tool_choice"] = json!({"type": "any"})), 2);
    let serial = json!({"type": "auto", "disable_parallel_tool_use": true});
    assert_eq!(survivors(|ask| ask["tool_choice"] = serial), 2);
    assert_eq!(survivors(|ask| ask["thinking"] = json!({"type": "adaptive"})), 2);
    assert_eq!(survivors(|ask| ask["output_config"] = json!({"effort": "low"})), 2);
    assert_eq!(
        survivors(|ask| ask["output_config"] = json!({"effort": "high"})),
        3,
        "the explicit default is no change"
    );
    let image = json!({"type": "image", "source": {"type": "base64", "data": "AA=="}});
    assert_eq!(
        survivors(|ask| ask["messages"][0]["content"].as_array_mut().unwrap().push(image)),
        2
    );
    assert_eq!(survivors(|ask| ask["metadata"] = json!({"user_id": "u"})), 3);
    assert_eq!(survivors(|ask| ask["max_tokens"] = 7.into()), 3);
}

#[test]
fn the_order_of_members_inside_tool_input_is_part_of_the_prefix() {
    let cache = Cache::default();
    let call = |input: &str| {
        let input: Value = serde_json::from_str(input).unwrap();
        let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": input});
        request(vec![text(600, "s")], vec![marked(call, "5m")])
    };
    send(&cache, &call(r#"{"a": 1, "b": 2}"#), minutes(0));
    assert!(send(&cache, &call(r#"{"a": 1, "b": 2}"#), minutes(0)).read > 0);
    assert_eq!(send(&cache, &call(r#"{"b": 2, "a": 1}"#), minutes(0)).read, 0);
}

#[test]
fn the_prompt_of_a_request_counts_as_its_tokens_do() {
    let mut ask = levels(|_| {});
    let call = json!({"type": "tool_use", "id": "a", "name": "t", "input": {"k": ["v"]}});
    let result = json!({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "result"}]});
    let messages = ask["messages"].as_array_mut().unwrap();
    messages.push(
        json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, call]}),
    );
    messages.push(json!({"role": "user", "content": [result, {"type": "image", "source": {}}]}));
    let prompt = read(&ask, "key", "").unwrap();
    assert_eq!(tokens_of(prompt.chars()), crate::fake::tokens(&ask));
    let through: Vec<u64> = (0..7).map(|at| prompt.chars_through(at)).collect();
    assert!(through.is_sorted());
}
