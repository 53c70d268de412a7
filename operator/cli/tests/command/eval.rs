//! `eval`, with the real model where `LLMCACHE_MODEL_DIR` names its folder.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::kit::{command, file, model_folder, run, stderr, stdout};

const PAIRS: &str = r#"{"a": "How do I reset my password?", "b": "Password reset help?", "same": true}
{"a": "Is it safe to take ibuprofen with aspirin?", "b": "Is it unsafe to take ibuprofen with aspirin?", "duplicate": 0}
{"a": "Convert 100 USD to EUR", "b": "Convert 200 USD to EUR", "same": false, "guard": "numbers"}
"#;

fn with_long_pair() -> String {
    let long = "word ".repeat(200);
    format!("{PAIRS}{{\"a\": \"{long}\", \"b\": \"{long}\", \"duplicate\": true}}\n")
}

#[test]
fn pairs_are_served_by_the_real_cosines_and_vetoed_by_guards() {
    let Some(model) = model_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let pairs = file(folder.path(), "pairs.jsonl", &with_long_pair());
    let output = run(&["eval", "--pairs", &pairs, "--model", &model, "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        json["pairs"],
        serde_json::json!({"same": 2, "different": 2, "bypassed": 1})
    );
    let at = |index: usize| &json["thresholds"][index];
    // Cosines near 0.83, 0.99 and 0.91.
    assert_eq!(at(2)["threshold"], 0.8);
    assert_eq!(at(2)["embedding"]["served"], 3);
    assert_eq!(at(2)["embedding"]["precision"], 0.3333);
    assert_eq!(at(2)["embedding"]["recall"], 0.5);
    assert_eq!(
        at(2)["guarded"],
        serde_json::json!({"served": 1, "right": 1, "wrong": 0, "precision": 1.0, "recall": 0.5})
    );
    assert_eq!(at(5)["embedding"]["wrong"], 1);
    assert!(at(5)["guarded"]["precision"].is_null(), "{json:#}");
    let vetoes = json["vetoes"].as_array().unwrap();
    assert_eq!(vetoes.len(), 10);
    assert_eq!(
        vetoes[0],
        serde_json::json!({"guard": "numbers", "same": 0, "different": 1})
    );
    let different: u64 = vetoes.iter().map(|veto| veto["different"].as_u64().unwrap()).sum();
    assert_eq!(different, 2);
}

#[test]
fn tables_are_for_people_and_stdin_is_a_file() {
    let Some(model) = model_folder() else { return };
    let mut child = command(&["eval", "--pairs", "-"])
        .env("LLMCACHE_MODEL_DIR", model)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(PAIRS.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for part in [
        "pairs 3: 1 same, 2 different; 0 bypassed",
        "embedding alone\nthreshold  served  right  wrong  precision  recall\n0.70            3      1      2     0.3333  1.0000\n",
        "with guards\nthreshold  served  right  wrong  precision  recall\n0.70            1      1      0     1.0000  1.0000\n",
        "\nnumbers             0          1\n",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    // Progress is for terminals.
    assert_eq!(stderr(&output), "");
}

#[test]
fn every_bad_line_is_named_before_the_model_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let bad = "{\"a\": \"x\", \"b\": \"y\", \"same\": true}\n{\"a\": 1, \"same\": \"no\"}\nx\n";
    let pairs = file(folder.path(), "pairs.jsonl", bad);
    let output = run(&["eval", "--pairs", &pairs, "--model", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    for part in [
        "pairs.jsonl: line 2: a: not a text; write the question as a string",
        "pairs.jsonl: line 2: b: missing; write the question as a string",
        "pairs.jsonl: line 2: same: \"no\": not a label; write true, false, 1 or 0",
        "pairs.jsonl: line 3: no JSON object",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_file_or_model_that_is_not_there_is_named_with_its_fix() {
    let output = run(&["eval", "--pairs", "/nowhere/pairs.jsonl", "--model", "/nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: /nowhere/pairs.jsonl: no such file; check the path\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let pairs = file(folder.path(), "pairs.jsonl", PAIRS);
    let output = run(&["eval", "--pairs", &pairs, "--model", "/nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.starts_with("error: --model: /nowhere/tokenizer.json is missing"),
        "{text}"
    );
    let output = run(&["eval", "--pairs", &pairs]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--model <FOLDER>"), "{}", stderr(&output));
}
