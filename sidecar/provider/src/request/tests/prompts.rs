//! The rendered prompt and its blocks.

use proptest::prelude::*;
use serde_json::json;

use super::bodies::{RECORDED, any_messages};
use super::*;
use crate::json::tests::tree::Tree;
use crate::prompt::{Level, Role, Site, Ttl};

proptest! {
    #[test]
    fn a_longer_conversation_begins_with_the_shorter(body in any_messages()) {
        let mut longer = body.clone();
        match longer.at("messages") {
            Tree::Array(list) => list.push(Tree::parse(r#"{"role":"user","content":"more"}"#)),
            _ => unreachable!(),
        }
        let (short, long) = (messages(&body.plain()).prompt(), messages(&longer.plain()).prompt());
        prop_assert!(long.text.starts_with(&short.text));
        prop_assert!(long.text.len() > short.text.len());
        let ends = |prompt: &Prompt| prompt.blocks.iter().map(|block| block.end).collect::<Vec<_>>();
        prop_assert!(ends(&long).starts_with(&ends(&short)));
    }

    #[test]
    fn blocks_end_in_order_and_cover_the_text(body in any_messages(), seed: u64) {
        let prompt = messages(&body.spelled(seed)).prompt();
        prop_assert!(prompt.blocks.is_sorted_by_key(|block| (block.level, block.end)));
        let last = prompt.blocks.iter().map(|block| block.end).max().unwrap_or(0);
        // Only the beginnings of messages without a block may stand after the last one.
        prop_assert!(prompt.text[last..].iter().all(|byte| *byte == b'\x1d'));
        prop_assert!(prompt.first_user_end <= prompt.text.len());
    }

    #[test]
    fn the_conversation_is_the_same_on_every_turn_and_in_every_spelling(body in any_messages(), seed: u64) {
        let mut first = body.clone();
        match first.at("messages") {
            Tree::Array(list) => list.insert(0, Tree::parse(r#"{"role":"user","content":"hello"}"#)),
            _ => unreachable!(),
        }
        let conversation = |json: &str| {
            let mut written = Vec::new();
            messages(json).write_conversation(&mut |bytes| written.extend_from_slice(bytes));
            written
        };
        let mut turn = first.clone();
        *turn.at("messages") = Tree::parse(r#"[{"role":"user","content":[{"type":"text","text":"hello","cache_control":{"type":"ephemeral"}}]}]"#);
        prop_assert_eq!(conversation(&first.plain()), conversation(&turn.spelled(seed)));
        turn.set("system", Tree::text("another system"));
        prop_assert_ne!(conversation(&first.plain()), conversation(&turn.plain()));
    }
}

#[test]
fn an_agents_prompt_is_cut_at_its_blocks() {
    let prompt = messages(RECORDED[1].1).prompt();
    let seen: Vec<_> = prompt
        .blocks
        .iter()
        .map(|block| (block.level, block.message, block.role, block.mark))
        .collect();
    let expected = [
        (Level::Tools, 0, Role::None, None),
        (Level::Tools, 1, Role::None, Some(Ttl::FiveMinutes)),
        (Level::System, 0, Role::System, Some(Ttl::OneHour)),
        (Level::Messages, 0, Role::User, None),
        (Level::Messages, 1, Role::Assistant, None),
        (Level::Messages, 1, Role::Assistant, None),
        (Level::Messages, 2, Role::User, Some(Ttl::FiveMinutes)),
        (Level::Messages, 2, Role::User, None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(prompt.client_marks, 3);
    assert_eq!(prompt.top_level_mark, None);
    assert_eq!(prompt.first_user_end, prompt.blocks[3].end);
    let strings = prompt
        .blocks
        .iter()
        .filter(|block| matches!(block.site, Site::String(_)));
    assert_eq!(strings.map(|block| block.message).collect::<Vec<_>>(), [0]);
    let text = String::from_utf8(prompt.text).unwrap();
    assert!(!text.contains("ephemeral"));
    assert!(text.contains(r#""input":{"city":"Málaga","cache_control":{"type":"mine"}}"#));
}

#[test]
fn roles_and_message_boundaries_are_told_apart() {
    let text = |list: &str| messages(&format!(r#"{{"model":"m","messages":{list}}}"#)).prompt().text;
    let user = text(r#"[{"role":"user","content":"a"}]"#);
    assert_ne!(user, text(r#"[{"role":"assistant","content":"a"}]"#));
    assert_eq!(
        user,
        text(r#"[{"role":"user","content":[{"text":"a","type":"text"}]}]"#)
    );
    let two = text(r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#);
    assert_ne!(
        two,
        text(r#"[{"role":"user","content":"a"},{"role":"user","content":"b"}]"#)
    );
}

#[test]
fn claude_codes_attribution_is_no_part_of_the_prompt() {
    let body = |turn: u32| {
        let attribution = format!(r#"{{"type":"text","text":"x-anthropic-billing-header: turn={turn}"}}"#);
        let system = format!(r#"[{attribution},{{"type":"text","text":"You are Claude Code"}}]"#);
        messages(&format!(r#"{{"model":"m","messages":[],"system":{system}}}"#))
    };
    assert_eq!(body(1).prompt(), body(2).prompt());
    assert_eq!(body(1).prompt().blocks.len(), 1);
    assert_eq!(body(1).prompt().blocks[0].message, 1);
    assert_ne!(key(&body(1)), key(&body(2)));
}

#[test]
fn the_top_level_mark_is_read() {
    let mark = |json: &str| messages(json).prompt().top_level_mark;
    assert_eq!(
        mark(r#"{"model":"m","messages":[],"cache_control":{"type":"ephemeral"}}"#),
        Some(Ttl::FiveMinutes)
    );
    assert_eq!(
        mark(r#"{"model":"m","messages":[],"cache_control":{"type":"ephemeral","ttl":"1h"}}"#),
        Some(Ttl::OneHour)
    );
    assert_eq!(mark(r#"{"model":"m","messages":[],"cache_control":null}"#), None);
}

#[test]
fn openai_prompts_have_one_block_per_message_and_no_site() {
    let roles = |endpoint, json| {
        let prompt = read(endpoint, json).prompt();
        assert!(prompt.blocks.iter().all(|block| block.site == Site::None));
        assert_eq!(prompt.blocks.last().unwrap().end, prompt.text.len());
        prompt.blocks.iter().map(|block| block.role).collect::<Vec<_>>()
    };
    let (endpoint, json) = RECORDED[4];
    assert_eq!(
        roles(endpoint, json),
        [Role::None, Role::System, Role::User, Role::Assistant, Role::Tool]
    );
    let (endpoint, json) = RECORDED[5];
    let items = [
        Role::None,
        Role::System,
        Role::User,
        Role::Assistant,
        Role::Assistant,
        Role::Tool,
    ];
    assert_eq!(roles(endpoint, json), items);
    let (endpoint, json) = RECORDED[6];
    assert_eq!(roles(endpoint, json), [Role::User]);
}

#[test]
fn the_exact_prompt_differs_where_the_key_does_not() {
    let body = |input: &str| {
        let block = format!(r#"{{"type":"tool_use","id":"t","name":"n","input":{input}}}"#);
        messages(&format!(
            r#"{{"model":"m","messages":[{{"role":"assistant","content":[{block}]}}]}}"#
        ))
    };
    let (one, other) = (body(r#"{"a":1,"b":2}"#), body(r#"{"b":2,"a":1}"#));
    assert_eq!(key(&one), key(&other));
    assert_ne!(exact_prompt(&one), exact_prompt(&other));
    let marked = RECORDED[1].1;
    let unmarked = marked.replace(r#","cache_control":{"type":"ephemeral"}"#, "");
    assert_ne!(marked, unmarked);
    assert_eq!(exact_prompt(&messages(marked)), exact_prompt(&messages(&unmarked)));
}

#[test]
fn a_conversation_has_begun_once_the_model_has_spoken_after_the_first_user() {
    let user = json!({"role": "user", "content": "hello"});
    let system = json!({"role": "system", "content": "be brief"});
    let answer = json!({"role": "assistant", "content": "Hi."});
    let cases = [
        (vec![&user], false),
        (vec![&system, &user], false),
        (vec![&user, &user], false),
        (vec![&user, &system], false),
        (vec![&answer, &user], false),
        (vec![&user, &answer], true),
        (vec![&user, &answer, &user], true),
        (vec![&answer, &user, &system, &answer, &user], true),
    ];
    let has_begun = |request: Request| request.write_conversation(&mut |_| {});
    for (talk, expected) in cases {
        let body = json!({"model": "m", "messages": talk}).to_string();
        assert_eq!(has_begun(messages(&body)), expected, "{body}");
        assert_eq!(has_begun(chat(&body)), expected, "{body}");
        let body = json!({"model": "m", "input": talk}).to_string();
        assert_eq!(has_begun(responses(&body)), expected, "{body}");
    }
    assert!(!has_begun(responses(r#"{"model": "m", "input": "hello"}"#)));
    let called = json!({"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"});
    let body = json!({"model": "m", "input": [user, called]}).to_string();
    assert!(has_begun(responses(&body)));
}
