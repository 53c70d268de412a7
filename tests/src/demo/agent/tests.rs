use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::*;

/// A folder in the form of the traces: one tool, one conversation that reuses a call id.
fn traces() -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let function = json!({"name": "find", "description": "Finds.", "parameters": {"type": "object"}});
    let tools = json!([{"type": "function", "function": function}]);
    std::fs::write(folder.path().join("agent-tools.json"), tools.to_string()).unwrap();
    let call = |arguments: &str| json!([{"id": "call_1", "type": "function", "function": {"arguments": arguments, "name": "find"}}]);
    let conversation = json!({"id": "0", "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Héllo"},
        {"role": "assistant", "content": "Looking.", "tool_calls": call(r#"{"a":1}"#)},
        {"role": "tool", "tool_call_id": "call_1", "name": "find", "content": "one"},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": null, "tool_calls": call(r#"{"a":2}"#)},
        {"role": "tool", "tool_call_id": "call_1", "name": "find", "content": "two"},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Bye"},
    ]});
    let mut file = GzEncoder::new(
        File::create(folder.path().join("agent-conversations.jsonl.gz")).unwrap(),
        Compression::fast(),
    );
    writeln!(file, "{conversation}").unwrap();
    file.finish().unwrap();
    (folder, tools)
}

#[test]
fn each_assistant_turn_is_one_call_with_all_before_it() {
    let (folder, tools) = traces();
    let traces = Traces::read(folder.path()).unwrap();
    let conversation = &traces.conversations[0];
    let answers: Vec<usize> = conversation.answers().collect();
    assert_eq!(answers, [1, 3, 5]);
    assert_eq!(
        traces.tools,
        [json!({"name": "find", "description": "Finds.", "input_schema": {"type": "object"}})]
    );
    let body = conversation.request(&traces.tools, 5);
    assert_eq!(body["system"], json!([{"type": "text", "text": "Be brief."}]));
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "Héllo"}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "toolu_0001", "name": "find", "input": {"a": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_0001", "content": "one"},
                {"type": "text", "text": "And?"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_0002", "name": "find", "input": {"a": 2}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_0002", "content": "two"}]},
        ])
    );
    assert_eq!(
        traces.tools_chars,
        tools.to_string().replace(',', ", ").replace(':', ": ").len() as u64
    );
}

#[test]
fn characters_are_those_of_text_and_of_each_function_as_recorded() {
    let (folder, _) = traces();
    let traces = Traces::read(folder.path()).unwrap();
    let function = r#"{"arguments": "{\"a\":1}", "name": "find"}"#.len() as u64;
    let conversation = &traces.conversations[0];
    assert_eq!(conversation.prompt_chars(1), 9 + 5);
    assert_eq!(conversation.turns[1].chars(), 8 + function);
    assert_eq!(conversation.prompt_chars(3), 9 + 5 + 8 + function + 3 + 4);
    let facts = traces.facts();
    let prompts: u64 = [1, 3, 5]
        .map(|answer| conversation.prompt_chars(answer) + traces.tools_chars)
        .iter()
        .sum();
    assert_eq!(
        facts,
        Facts {
            conversations: 1,
            calls: 3,
            prompt_chars: prompts
        }
    );
}

#[test]
fn an_answer_is_the_recorded_turn_at_its_recorded_price() {
    let (folder, _) = traces();
    let traces = Traces::read(folder.path()).unwrap();
    let turn = &traces.conversations[0].turns[1];
    let answer = turn.said().unwrap();
    assert_eq!(answer.output(), turn.chars().div_ceil(4));
    let call = Said::Tool {
        name: "find".into(),
        input: json!({"a": 1}),
        id: Some("toolu_0001".into()),
    };
    assert_eq!(answer.parts, [Said::Text("Looking.".into()), call]);
}

#[test]
fn a_folder_without_traces_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Traces::read(folder.path()).unwrap_err();
    assert!(error.to_string().contains("agent-tools.json"), "{error}");
}
