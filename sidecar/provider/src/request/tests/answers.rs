//! Questions a request answers.

use super::bodies::RECORDED;
use super::*;
use crate::models::facts;

#[test]
fn user_texts_are_joined_and_tool_results_are_not_text() {
    let agent = messages(RECORDED[1].1);
    assert_eq!(agent.first_user_text(), "Where is it warm?\nI like beaches.");
    assert_eq!(agent.last_user_text(), "And in Oslo?");
    let blocks = messages(
        r#"{"model":"m","messages":[{"role":"assistant","content":"no"},
            {"role":"user","content":[{"type":"text","text":"a\u0062"},{"type":"image"},{"type":"text","text":"c"}]},
            {"role":"user","content":[{"type":"tool_result","content":"not this"}]}]}"#,
    );
    assert_eq!(blocks.first_user_text(), "ab\nc");
    assert_eq!(blocks.last_user_text(), "ab\nc");
    assert_eq!(chat(RECORDED[4].1).last_user_text(), "Look:");
    assert_eq!(responses(RECORDED[5].1).first_user_text(), "Weather in Oslo?");
    assert_eq!(responses(RECORDED[6].1).last_user_text(), "Write a haiku.");
    assert_eq!(messages(r#"{"model":"m","messages":[]}"#).first_user_text(), "");
}

#[test]
fn end_users_are_distinct_and_in_order_of_precedence() {
    assert_eq!(messages(RECORDED[1].1).end_users(), ["u-42"]);
    assert_eq!(chat(RECORDED[4].1).end_users(), ["s-7", "u-42"]);
    let same = chat(r#"{"model":"m","messages":[],"user":"a","metadata":{"user_id":"a"},"safety_identifier":null}"#);
    assert_eq!(same.end_users(), ["a"]);
    assert!(messages(RECORDED[0].1).end_users().is_empty());
}

#[test]
fn streams_and_usage_are_seen() {
    assert!(messages(RECORDED[1].1).wants_stream());
    assert!(!messages(RECORDED[0].1).wants_stream());
    assert!(!chat(RECORDED[4].1).wants_usage());
    assert!(responses(RECORDED[6].1).wants_usage());
}

#[test]
fn tools_and_their_results_are_seen() {
    let agent = messages(RECORDED[1].1);
    assert!(agent.has_tools() && !agent.has_server_tools() && agent.ends_with_tool_result());
    let plain = messages(RECORDED[0].1);
    assert!(!plain.has_tools() && !plain.ends_with_tool_result());
    assert!(chat(RECORDED[4].1).ends_with_tool_result());
    assert!(responses(RECORDED[5].1).ends_with_tool_result());
    let server = messages(r#"{"model":"m","messages":[],"tools":[{"type":"code_execution_20260521","name":"c"}]}"#);
    assert!(server.has_tools() && server.has_server_tools());
    let system_last = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"tool_result"}]},{"role":"system","content":"s"}]}"#;
    assert!(messages(system_last).ends_with_tool_result());
}

#[test]
fn thinking_in_the_history_is_seen() {
    assert!(messages(RECORDED[2].1).history_has_thinking());
    assert!(!messages(RECORDED[1].1).history_has_thinking());
    assert!(responses(RECORDED[5].1).history_has_thinking());
    assert!(!chat(RECORDED[4].1).history_has_thinking());
}

#[test]
fn whether_an_answer_can_think_depends_on_request_and_model() {
    let thinks = |thinking: &str, model: &str| {
        let request = messages(&format!(r#"{{"model":"m","messages":[]{thinking}}}"#));
        request.may_think(facts(Provider::Anthropic, model))
    };
    let disabled = r#","thinking":{"type":"disabled"}"#;
    assert!(thinks("", "claude-sonnet-5-5"));
    assert!(!thinks("", "claude-haiku-4-5"));
    assert!(thinks("", "a model of tomorrow"));
    assert!(thinks(r#","thinking":{"type":"adaptive"}"#, "claude-haiku-4-5"));
    assert!(!thinks(disabled, "claude-haiku-5-5"));
    assert!(thinks(disabled, "claude-opus-5-5"));
    let effort = |effort: &str| {
        responses(&format!(
            r#"{{"model":"m","input":"","reasoning":{{"effort":"{effort}"}}}}"#
        ))
    };
    assert!(!effort("none").may_think(facts(Provider::OpenAi, "gpt-6-sol")));
    assert!(effort("low").may_think(facts(Provider::OpenAi, "gpt-6-sol")));
    assert!(!chat(r#"{"model":"m","messages":[]}"#).may_think(facts(Provider::OpenAi, "gpt-4.1")));
}

#[test]
fn needs_are_read() {
    let needs = messages(RECORDED[2].1).needs();
    assert_eq!(needs.max_output, Some(4096));
    assert_eq!(needs.thinking.as_deref(), Some("adaptive"));
    assert_eq!(needs.effort.as_deref(), Some("low"));
    assert!(!needs.sampling && !needs.prefill && !needs.forced_tool_choice);
    let agent = messages(RECORDED[1].1);
    assert!(agent.needs().sampling);
    assert_eq!(agent.temperature(), Some(0.0));
    let rest = messages(
        r#"{"model":"m","temperature":1.0,"tool_choice":{"type":"tool","name":"t"},
            "messages":[{"role":"assistant","content":"The answer is"}]}"#,
    );
    let needs = rest.needs();
    assert!(needs.prefill && needs.forced_tool_choice && !needs.sampling);
    let needs =
        chat(r#"{"model":"m","messages":[],"max_completion_tokens":9,"tool_choice":"required","top_p":0.5}"#).needs();
    assert_eq!(
        (needs.max_output, needs.forced_tool_choice, needs.sampling),
        (Some(9), true, true)
    );
    let forced = |choice: &str| {
        chat(&format!(r#"{{"model":"m","messages":[],"tool_choice":{choice}}}"#))
            .needs()
            .forced_tool_choice
    };
    assert!(forced(r#"{"type":"function","function":{"name":"f"}}"#));
    assert!(!forced(
        r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}"#
    ));
    assert!(!forced(r#""auto""#));
    assert!(chat(RECORDED[4].1).seed() && !chat(r#"{"model":"m","messages":[],"seed":null}"#).seed());
}

#[test]
fn media_weigh_less_than_text() {
    let with = |data: &str| {
        let source = format!(r#"{{"type":"base64","media_type":"image/png","data":"{data}"}}"#);
        let json = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"image","source":{source}}}]}}]}}"#
        );
        messages(&json).needs().prompt_tokens
    };
    let empty = with("");
    assert_eq!(with(&"A".repeat(160_000)) - empty, 10_000);
    let text = messages(&format!(
        r#"{{"model":"m","system":"{}","messages":[]}}"#,
        "a".repeat(4_000)
    ));
    assert_eq!(text.needs().prompt_tokens, 1_001);
}

#[test]
fn claude_code_is_known_by_its_first_blocks() {
    let system =
        |system: &str| messages(&format!(r#"{{"model":"m","messages":[],"system":{system}}}"#)).is_claude_code();
    assert!(system(r#""You are Claude Code, Anthropic's official CLI for Claude.""#));
    assert!(system(
        r#"[{"type":"text","text":"x-anthropic-billing-header: cc_version=2"},{"type":"text","text":"x"}]"#
    ));
    assert!(system(
        r#"[{"type":"text","text":"a"},{"type":"text","text":"You are Claude Code"}]"#
    ));
    assert!(!system(r#""You are a helpful assistant.""#));
    assert!(!system("[]"));
}

#[test]
fn echoed_fields_are_the_callers_own() {
    let echo = responses(RECORDED[5].1).echo();
    let value = |name: &str| echo.members.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    assert_eq!(value("metadata").unwrap(), r#"{"team":"ops"}"#);
    assert_eq!(value("store").unwrap(), "false");
    assert_eq!(value("user"), None);
    assert!(messages(RECORDED[1].1).echo().members.is_empty());
}

#[test]
fn a_request_can_be_shared_between_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Request>();
}
