//! The built binary from outside: exit codes and messages of every subcommand.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use kit::{command, file, run, stderr, stdout};

#[cfg(all(test, feature = "local"))]
mod calibrate;
#[cfg(all(test, feature = "local"))]
mod eval;
#[cfg(test)]
mod kit;

const GOOD: &str = "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\n\
    metadata: {name: bot, namespace: shop}\nspec: {resultCache: {}}\n";
const BAD: &str = "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\n\
    metadata: {name: bot, namespace: shop}\nspec: {mode: Enfroce, resultCache: {maxAge: forever}}\n";

#[test]
fn lint_accepts_a_good_policy_and_names_its_revision() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(folder.path(), "good.yaml", GOOD);
    let output = run(&["lint", &good]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("shop/bot: ok, revision "),
        "{}",
        stdout(&output)
    );
    let json: Value = serde_json::from_str(&stdout(&run(&["lint", "-o", "json", &good]))).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["files"][0]["policies"][0]["policy"], "shop/bot");
}

#[test]
fn lint_tells_every_problem_of_every_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (
        file(folder.path(), "good.yaml", GOOD),
        file(folder.path(), "bad.yaml", BAD),
    );
    let output = run(&["lint", &bad, &good]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    for part in [
        "spec.mode",
        "Enfroce",
        "spec.resultCache.maxAge",
        "forever",
        "good.yaml: shop/bot: ok",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert!(text.contains("fix: "), "{text}");
    assert!(stderr(&output).contains("2 problems found"), "{}", stderr(&output));
    let output = run(&["lint", "-o", "json", &bad]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["ok"], false);
    let paths: Vec<_> = json["files"][0]["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| &found["path"])
        .collect();
    assert_eq!(paths, ["spec.mode", "spec.resultCache.maxAge"]);
}

#[test]
fn lint_reads_stdin_and_names_what_it_cannot_read() {
    let mut child = command(&["lint", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(GOOD.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), stdout(&output).contains("shop/bot: ok")),
        (Some(0), true)
    );
    let output = run(&["lint", "/nowhere/policy.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: /nowhere/policy.yaml: no such file; check the path\n"
    );
    assert_eq!(run(&["lint"]).status.code(), Some(2));
    assert_eq!(run(&["lint", "--bogus"]).status.code(), Some(2));
}

const BAN: &str = "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCacheInvalidation\n\
    metadata: {name: left, namespace: shop}\nspec: {pattern: \"user:123:*\"}\n";

#[test]
fn lint_judges_invalidations_beside_policies() {
    let folder = tempfile::tempdir().unwrap();
    let both = file(folder.path(), "both.yaml", &format!("{GOOD}---\n{BAN}"));
    let output = run(&["lint", &both]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("both.yaml: shop/left: ok\n"),
        "{}",
        stdout(&output)
    );
    let bad = file(folder.path(), "bad.yaml", &BAN.replace("user:123:*", "a b"));
    let output = run(&["lint", &bad]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "bad.yaml: line 4: spec.pattern: \"a b\": is malformed; allowed: ";
    assert!(stdout(&output).contains(expected), "{}", stdout(&output));
    let json: Value = serde_json::from_str(&stdout(&run(&["lint", "-o", "json", &both]))).unwrap();
    assert_eq!(json["files"][0]["invalidations"][0], "shop/left");
}

#[test]
fn completion_is_written_for_shells_and_answered_to_kubectl() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let output = run(&["completion", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(stdout(&output).contains("invalidate"), "{shell}");
    }
    let script = stdout(&run(&["completion", "kubectl"]));
    assert_eq!(script, "#!/bin/sh\nexec kubectl-llmcache __complete -- \"$@\"\n");
    let answer = stdout(&run(&["__complete", "--", "explain", "po"]));
    assert_eq!(answer, "pod\npolicy\n:4\n");
    assert_eq!(stdout(&run(&["__complete", "--", "lint", ""])), ":0\n");
    let json: Value = serde_json::from_str(&stdout(&run(&["completion", "fish", "-o", "json"]))).unwrap();
    assert!(json["script"].as_str().unwrap().contains("complete"));
}

#[test]
fn flags_of_the_cluster_are_refused_where_no_cluster_is_asked() {
    let output = run(&["--context", "x", "completion", "bash"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: --context: this command asks no cluster; leave it out here\n"
    );
}

/// `LLMCACHE_GENERATE=write` writes them.
#[test]
fn help_is_as_committed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/help");
    for command in ["status", "explain", "invalidate", "lint", "completion"] {
        let help = stdout(&run(&[command, "--help"]));
        let path = folder.join(format!("{command}.txt"));
        if std::env::var_os("LLMCACHE_GENERATE").is_some_and(|wanted| wanted == "write") {
            fs::write(&path, &help).unwrap();
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap_or_default(),
            help,
            "{}",
            path.display()
        );
        assert!(help.contains("Exit codes: 0 "), "{command}");
    }
}

#[cfg(feature = "local")]
mod with_the_sidecar {
    use super::*;

    #[test]
    fn cost_prices_a_call_and_compares() {
        let call = [
            "cost",
            "--model",
            "claude-sonnet-5-5",
            "--input",
            "10000",
            "--cached",
            "8000",
            "--output",
            "500",
        ];
        let output = run(&[&call[..], &["--compare", "claude-haiku-5-5,gpt-6.2-sol"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = stdout(&output);
        // 2 000 × $2 + 8 000 × $0.10 + 500 × $10 per million.
        assert!(
            text.contains("claude-sonnet-5-5   0.009800000   9.800000000              -"),
            "{text}"
        );
        assert!(
            text.contains("claude-haiku-5-5    0.000530000   0.530000000        -94.5 %"),
            "{text}"
        );
        let json: Value = serde_json::from_str(&stdout(&run(&[&call[..], &["-o", "json"]].concat()))).unwrap();
        assert_eq!(json["quotes"][0]["usd"], "0.009800000");
        assert_eq!(json["tokens"]["cache_read"], 8_000);
    }

    #[test]
    fn cost_lists_names_near_an_unknown_model() {
        let output = run(&[
            "cost",
            "--model",
            "claude-sonet-5.5",
            "--input",
            "1",
            "--compare",
            "gpt-6-sool",
        ]);
        assert_eq!(output.status.code(), Some(2));
        let text = stderr(&output);
        assert!(
            text.contains("model claude-sonet-5.5: no price is known; near: claude-sonnet-5-5,"),
            "{text}"
        );
        assert!(
            text.contains("model gpt-6-sool: no price is known; near: gpt-6-sol,"),
            "{text}"
        );
    }

    #[test]
    fn cost_refuses_more_cached_tokens_than_the_prompt_has() {
        let output = run(&[
            "cost",
            "--model",
            "gpt-6.2-sol",
            "--input",
            "5",
            "--cached",
            "3",
            "--written",
            "3",
        ]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains("--cached and --written are more than --input"),
            "{}",
            stderr(&output)
        );
    }

    #[test]
    fn cost_says_what_has_no_price_and_takes_own_prices() {
        let output = run(&["cost", "--model", "gpt-5.5-pro", "--input", "10", "--cached", "4"]);
        assert!(stdout(&output).contains("gpt-5.5-pro: without cache read, which has no published price"));
        let folder = tempfile::tempdir().unwrap();
        let rows = r#"{"rows": [{"provider": "openai", "id": "ours", "input": 1, "output": 2}]}"#;
        let prices = file(folder.path(), "prices.json", rows);
        let output = run(&["cost", "--model", "ours", "--input", "1000", "--prices", &prices]);
        assert!(stdout(&output).contains("0.001000000"), "{}", stderr(&output));
    }

    #[test]
    fn local_refuses_a_bad_policy_with_every_problem_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let bad = file(folder.path(), "bad.yaml", BAD);
        let output = run(&["local", "-f", &bad]);
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(
            text.contains("spec.mode") && text.contains("spec.resultCache.maxAge"),
            "{text}"
        );
        let two = file(
            folder.path(),
            "two.yaml",
            &format!("{GOOD}---\n{}", GOOD.replace("bot", "other")),
        );
        let output = run(&["local", "-f", &two]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("more than one policy"), "{}", stderr(&output));
    }

    #[test]
    fn local_names_every_bad_flag_and_its_fix_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let good = file(folder.path(), "good.yaml", GOOD);
        let prices = file(
            folder.path(),
            "prices.json",
            r#"{"rows": [{"provider": "openai", "id": "m", "input": -1}]}"#,
        );
        let short = file(folder.path(), "secret", "short");
        let output = run(&[
            "local",
            "-f",
            &good,
            "--redis",
            "redis://:hunter2@host:x",
            "--redis-ca",
            "/nowhere/ca.pem",
            "--prices",
            &prices,
            "--secret-file",
            &short,
            "--openai-upstream",
            "ftp://x",
            "--anthropic-upstream",
            "x y",
            "--namespace",
            "Not_One",
        ]);
        assert_eq!(output.status.code(), Some(2));
        let text = stderr(&output);
        for flag in [
            "--redis",
            "--redis-ca",
            "--prices",
            "--secret-file",
            "--openai-upstream",
            "--anthropic-upstream",
            "--namespace",
        ] {
            assert!(text.contains(&format!("error: {flag}: ")), "{flag} not in {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
        let output = run(&["local", "-f", &good, "--listen", "localhost"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("write an IP address and a port, such as 127.0.0.1:15480"));
        let output = run(&["local", "-f", &good, "--prices", "/nowhere/prices.json"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains("--prices: /nowhere/prices.json: no such file"),
            "{}",
            stderr(&output)
        );
    }

    #[test]
    fn local_help_states_defaults_and_environment() {
        let help = stdout(&run(&["local", "--help"]));
        for part in [
            "LLMCACHE_POLICY",
            "LLMCACHE_LISTEN",
            "127.0.0.1:15480",
            "127.0.0.1:15490",
            "LLMCACHE_REDIS",
            "LLMCACHE_REDIS_CA",
            "redis://[user:password@]host[:port][/database]",
            "redis+sentinel://",
            "redis+cluster://",
            "rediss",
            "$XDG_STATE_HOME/llmcache/secret",
            "LLMCACHE_GRACE",
            "[default: 30]",
            "LLMCACHE_OPENAI_UPSTREAM",
        ] {
            assert!(help.contains(part), "{part} not in {help}");
        }
    }
}
