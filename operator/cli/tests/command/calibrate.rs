//! `calibrate`, with the real model where `LLMCACHE_MODEL_DIR` names its folder.

use serde_json::{Value, json};

use crate::kit::{file, model_folder, run, stderr, stdout};

const MODEL: &str = "claude-haiku-5-5";

/// One call of Anthropic's, a minute after the one before.
fn line(minute: u64, system: &str, question: &str, answer: Option<&str>) -> String {
    let request = json!({
        "model": MODEL, "max_tokens": 99, "system": system, "messages": [{"role": "user", "content": question}],
    });
    let response = answer.map(|answer| {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "stop_reason": "end_turn",
            "stop_sequence": null, "content": [{"type": "text", "text": answer}],
            "usage": {"input_tokens": 1_000, "output_tokens": 200},
        })
    });
    let line = json!({"time": minute * 60, "endpoint": "/v1/messages", "request": request, "response": response});
    format!("{line}\n")
}

fn log() -> String {
    let image = r#"{"time": 600, "endpoint": "/v1/messages", "request": {"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]}]}}"#;
    [
        // Out of order: what began later may have ended earlier.
        line(
            2,
            "bot",
            "Password reset help?",
            Some("By the link on the login page, which sends you a letter."),
        ),
        line(
            1,
            "bot",
            "How do I reset my password?",
            Some("Follow the link on the login page and wait for the letter."),
        ),
        line(3, "bot", "How do I reset my password?", Some("whatever")),
        line(4, "other bot", "Password reset help?", Some("No")),
        line(5, "bot", "Convert 100 USD to EUR", Some("92")),
        line(6, "bot", "Convert 200 USD to EUR", Some("184")),
        line(7, "bot", "What are your opening hours?", Some("9-17")),
        line(8, "bot", "What are your opening hours, please?", Some("9-18")),
        line(9, "bot", "Tell me your opening hours", None),
        format!("{}\n", image.replace('\n', " ")),
        "{\"time\": 660, \"endpoint\": \"/v1/models\", \"request\": {}}\n".into(),
    ]
    .concat()
}

#[test]
fn a_log_is_replayed_by_partition_guard_and_life() {
    let Some(model) = model_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = file(folder.path(), "log.jsonl", &log());
    let output = run(&["calibrate", "--log", &log, "--model", &model, "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&json["requests"], &json["exactRepeats"]), (&json!(11), &json!(1)));
    assert_eq!(json["bypass"], json!({"endpoint": 1, "tool_result": 1}));
    assert_eq!(json["vetoes"]["numbers"], 1);
    let class = &json["classes"][0];
    assert_eq!((&class["class"], &class["questions"]), (&json!("dynamic"), &json!(8)));
    assert_eq!(class["labels"]["needed"], 376);
    let floor = &class["thresholds"][15];
    assert_eq!(class["thresholds"].as_array().unwrap().len(), 16);
    assert_eq!(floor["threshold"], 0.8);
    // The other password question, and two about opening hours: one with an answer of its own, one without.
    assert_eq!(floor["hits"], 3, "{json:#}");
    assert_eq!(
        (&floor["agreed"], &floor["disagreed"], &floor["open"]),
        (&json!(0), &json!(1), &json!(2))
    );
    assert_eq!(class["hitsWithoutUsage"], 1);
    // A third of 376 times 11 requests.
    assert_eq!(class["labels"]["requests"], 1_379.0);
}

#[test]
fn the_policy_decides_class_floor_life_and_budget() {
    let Some(model) = model_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = file(folder.path(), "log.jsonl", &log());
    let policy = "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {name: bot, namespace: shop}\n\
        spec:\n  semanticCache: {maxFalseHitRate: 0.05, similarityThreshold: 0.7}\n  ttlClasses:\n  \
        - {name: account, ttl: 30s, match: {anyKeyword: [password]}}\n";
    let policy = file(folder.path(), "policy.yaml", policy);
    let output = run(&["calibrate", "--log", &log, "-f", &policy, "--model", &model]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        // Half a minute is over when the next call comes.
        "requests 11 in 0.0 days: 0 exact repeats, 9 questions, 2 bypassed (endpoint 1, tool_result 1)",
        "class account: 4 questions, would-be hits from 0.7000 on",
        "labels: 74 right ones and no wrong one open it at a budget of 5 %; this log has no would-be hit to label",
        "class dynamic: 5 questions, would-be hits from 0.7000 on",
        "usd: 1 hits without usage in the log are counted by their prompt alone, bytes / 4",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
}

#[test]
fn every_bad_line_policy_and_price_is_named_before_the_model_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let bad = "{\"endpoint\": \"/v1/messages\", \"request\": {}}\n{\"time\": \"now\", \"endpoint\": 7, \"request\": \"{}\"}\n";
    let log = file(folder.path(), "log.jsonl", bad);
    let output = run(&["calibrate", "--log", &log, "--model", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    for part in [
        "log.jsonl: line 1: time: missing; write RFC 3339 such as",
        "log.jsonl: line 2: time: \"now\": no time; write RFC 3339",
        "log.jsonl: line 2: endpoint: 7: no path; write a path such as \"/v1/messages\"",
        "log.jsonl: line 2: request: no JSON object; write the body itself",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    let policy = file(folder.path(), "policy.yaml", crate::BAD);
    let output = run(&["calibrate", "--log", &log, "-f", &policy, "--model", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("policy.yaml: line 4: spec.mode"),
        "{}",
        stderr(&output)
    );
    let output = run(&[
        "calibrate",
        "--log",
        &log,
        "--prices",
        "/nowhere",
        "--model",
        "/nowhere",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--prices: /nowhere: no such file"),
        "{}",
        stderr(&output)
    );
}
