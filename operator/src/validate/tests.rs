use serde_json::{Value, json};

use super::*;

mod bounds;
mod examples;
mod invalidations;
mod mutations;

/// A valid policy with a `spec`.
fn policy(spec: &Value) -> String {
    json!({
        "apiVersion": "llmcache.dev/v1alpha1",
        "kind": "LLMCachePolicy",
        "metadata": {"name": "test", "namespace": "shop"},
        "spec": spec,
    })
    .to_string()
}

fn paths(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.path.as_str()).collect()
}

fn problems(text: &str) -> Vec<Problem> {
    load(text).map(|_| ()).unwrap_err()
}

const BAD: &str = r#"apiVersion: llmcache.dev/v1alpha1
kind: LLMCachePolicy
metadata: {name: on, namespace: shop, lables: {a: b}}
spec:
  mode: off
  modes: Enforce
  tags: ["user:{usr}"]
  upstreams:
    anthropic: {url: "https://api.anthropic.com:99999"}
    openai: {caBundle: "nope", dialect: OpenAi}
  ttlClasses:
    - {name: a, ttl: 0s}
    - {name: b, ttl: 200h}
    - {name: yes, ttl: 1d, match: {anyKeyword: []}}
    - {ttl: 5}
  resultCache: {memory: 1Mi, maxEntry: 2Mi, storeBudget: 2s}
  semanticCache: {similarityThreshold: 0.3}
  routing:
    tiers:
      - {name: a, models: {}}
      - {name: a, models: {anthropic: x}}
    rules: [{tier: zzz, maxInputTokens: 0}]
    defaultTier: q
  selector: {matchLabels: {"-bad": x}}
"#;

#[test]
fn every_problem_of_a_bad_file_is_named_at_once_in_the_order_of_paths() {
    let found = problems(BAD);
    let expected = [
        "metadata.lables",
        "metadata.name",
        "spec.mode",
        "spec.modes",
        "spec.resultCache.maxEntry",
        "spec.resultCache.storeBudget",
        "spec.routing.defaultTier",
        "spec.routing.requestModels",
        "spec.routing.rules",
        "spec.routing.rules[0].maxInputTokens",
        "spec.routing.tiers",
        "spec.routing.tiers[0].models",
        "spec.selector.matchLabels.-bad",
        "spec.semanticCache.similarityThreshold",
        "spec.tags[0]",
        "spec.ttlClasses",
        "spec.ttlClasses",
        "spec.ttlClasses[0].ttl",
        "spec.ttlClasses[2].match.anyKeyword",
        "spec.ttlClasses[2].name",
        "spec.ttlClasses[2].ttl",
        "spec.ttlClasses[3].name",
        "spec.ttlClasses[3].ttl",
        "spec.upstreams.anthropic.url",
        "spec.upstreams.openai.caBundle",
        "spec.upstreams.openai.dialect",
    ];
    assert_eq!(paths(&found), expected, "{found:#?}");
    for problem in &found {
        assert!(!problem.allowed.is_empty(), "{problem}");
        assert!(!problem.fix.is_empty(), "{problem}");
        assert!(problem.line.is_some(), "{problem}");
    }
}

#[test]
fn problem_reads_as_one_line_with_place_value_bounds_and_fix() {
    let found = problems(BAD);
    let shown = |path: &str| {
        let problem = found.iter().find(|problem| problem.path == path);
        problem.map(ToString::to_string).unwrap_or_default()
    };
    assert_eq!(
        shown("spec.resultCache.storeBudget"),
        "line 16: spec.resultCache.storeBudget: \"2s\": duration is out of bounds; allowed: 1ms…1s; \
         fix: write a duration from 1ms to 1s"
    );
    assert_eq!(
        shown("spec.mode"),
        "line 5: spec.mode: off: off without quotes is a boolean in YAML 1.1; \
         allowed: Enforce, Observe, Disabled; fix: write Disabled"
    );
    assert_eq!(
        shown("spec.routing.rules"),
        "line 22: spec.routing.rules: zzz: rules names a tier that is not among tiers; \
         allowed: names in tiers; fix: add the tier or correct the name"
    );
    assert!(shown("spec.modes").ends_with("fix: did you mean mode?"));
}

#[test]
fn bare_boolean_is_refused_in_every_text_field_and_taken_in_a_boolean_field() {
    let text = "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {name: n, namespace: y, labels: {a: on}}\nspec:\n  \
        scope: {tenantHeader: Yes}\n  tags: [off]\n  ttlClasses: [{name: NO, ttl: on, match: {anyKeyword: [On], \
        header: {a: off}}}]\n  selector: {matchLabels: {on: \"x\"}}\n  routing: {requestModels: [auto], \
        allowUpgrade: yes, tiers: [{name: \"on\", models: {openai: m}}], defaultTier: on}\n";
    let found = problems(text);
    let expected = [
        "metadata.labels.a",
        "metadata.name",
        "metadata.namespace",
        "spec.routing.defaultTier",
        "spec.scope.tenantHeader",
        "spec.selector.matchLabels.on",
        "spec.tags[0]",
        "spec.ttlClasses[0].match.anyKeyword[0]",
        "spec.ttlClasses[0].match.header.a",
        "spec.ttlClasses[0].name",
        "spec.ttlClasses[0].ttl",
    ];
    let mut about_booleans = paths(&found);
    about_booleans.dedup();
    assert_eq!(about_booleans, expected, "{found:#?}");
    assert!(found.iter().filter(|p| p.message.contains("YAML 1.1")).count() == expected.len() - 1);
}

#[test]
fn quoted_words_are_text() {
    let spec = json!({"ttlClasses": [{"name": "on", "ttl": "1h", "match": {"anyKeyword": ["off", "no"]}}]});
    assert!(load(&policy(&spec)).is_ok());
}

#[test]
fn syntax_error_names_line_and_column() {
    let found = problems("apiVersion: x\nspec: {a: [1, 2\nkind: y\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].line.is_some() && found[0].message.starts_with("column "),
        "{found:?}"
    );
}

#[test]
fn empty_file_and_foreign_kind_are_refused() {
    assert_eq!(problems("")[0].message, "the file holds no policy");
    assert_eq!(
        problems("# only a comment\n---\n")[0].message,
        "the file holds no policy"
    );
    let found = problems("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {}\n");
    assert_eq!(paths(&found), ["apiVersion", "kind"]);
    assert_eq!(paths(&problems("[1, 2]"))[0], "");
    assert!(paths(&problems("kind: LLMCachePolicy")).contains(&"spec"));
}

#[test]
fn documents_of_one_file_are_judged_together() {
    let good = "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {name: a}\nspec: {}\n";
    let other = good.replace("name: a", "name: b");
    assert_eq!(load(&format!("{good}---\n{other}")).unwrap().policies.len(), 2);

    let repeated = problems(&format!("{good}---\n{good}"));
    assert_eq!(paths(&repeated), ["metadata.name"]);

    let bad = other.replace("spec: {}", "spec: {mode: x}");
    let found = problems(&format!("{good}---\n{bad}"));
    assert_eq!((found[0].document, found[0].line), (2, Some(9)), "{found:?}");
    assert!(found[0].to_string().starts_with("document 2: line 9: spec.mode"));
}

#[test]
fn typed_policy_gets_the_verdict_of_its_text() {
    let loaded = load(&policy(&json!({"mode": "Observe"}))).unwrap();
    let mut typed = loaded.policies[0].0.policy().clone();
    assert_eq!(validate(&typed).unwrap().policy(), &typed);
    typed.spec.tags = Some(vec!["{nothing}".into()]);
    assert_eq!(paths(&validate(&typed).unwrap_err()), ["spec.tags[0]"]);
}

#[test]
fn policy_copied_out_of_a_cluster_loads() {
    let copied = json!({
        "apiVersion": "llmcache.dev/v1alpha1",
        "kind": "LLMCachePolicy",
        "metadata": {"name": "a", "namespace": "b", "uid": "u", "generation": 3, "resourceVersion": "9",
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"},
            "managedFields": [{"manager": "kubectl", "operation": "Update"}]},
        "spec": {},
        "status": {"observedGeneration": 3, "anything": true},
    });
    assert!(load(&copied.to_string()).is_ok());
}

#[test]
fn what_this_version_does_not_act_on_is_a_warning_at_its_field() {
    let spec = json!({
        "upstreams": {"anthropic": {"url": "https://gateway.example/v1"}},
        "scope": {"share": "Namespace"},
        "selector": {},
        "promptCache": {"hold": "1s"},
        "routing": {"requestModels": ["a*"], "tiers": [{"name": "t", "models": {"openai": "m"}}],
            "rules": [{"tier": "t", "anyKeyword": ["x"]}]},
        "invalidation": [{"name": "n", "pattern": "*", "onChange": {"configMap": "c"}}],
        "stores": {"class": "big"},
    });
    let loaded = load(&policy(&spec)).unwrap();
    let (policy_of_file, warnings) = &loaded.policies[0];
    let paths: Vec<_> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    let expected = [
        "spec.promptCache.hold",
        "spec.promptCache.strategy",
        "spec.routing.defaultTier",
        "spec.upstreams.anthropic.url",
    ];
    assert_eq!(paths, expected);
    let local: Vec<_> = local_warnings(policy_of_file);
    let local: Vec<_> = local.iter().map(|warning| warning.path.as_str()).collect();
    let expected = [
        "spec.selector",
        "spec.scope.share",
        "spec.stores",
        "spec.invalidation[0].onChange",
    ];
    assert_eq!(local, expected);

    let quiet = json!({"promptCache": {"strategy": "Always", "hold": "0ms"}, "semanticCache": {"mode": "Enforce"},
        "ttlClasses": [{"name": "a", "ttl": "1h", "similarityThreshold": 0.9, "staleWhileRevalidate": "5m", "staleIfError": "1h"}],
        "resultCache": {"embeddings": {"ttl": "24h"}}, "stores": {"class": "default"}});
    assert_eq!(load(&policy(&quiet)).unwrap().policies[0].1, []);
}

#[test]
fn a_judge_is_a_model_that_an_upstream_serves() {
    let judged_by = |model: &str, url: Option<&str>| {
        let upstreams = url.map_or_else(|| json!({}), |url| json!({"openai": {"url": url}}));
        let spec = json!({"semanticCache": {"judge": {"model": model}}, "upstreams": upstreams});
        load(&policy(&spec))
            .map(|_| ())
            .map_err(|problems| problems[0].to_string())
    };
    for model in ["claude-haiku-5-5", "gpt-5.4-nano", "o4-mini", "ft:gpt-4o:org::id"] {
        assert_eq!(judged_by(model, None), Ok(()), "{model}");
    }
    let refused = judged_by("gemini-3-flash", None).unwrap_err();
    assert!(
        refused.contains("spec.semanticCache.judge.model: \"gemini-3-flash\": is a model of another provider"),
        "{refused}"
    );
    assert_eq!(judged_by("gemini-3-flash", Some("http://gateway.example/v1")), Ok(()));
}

#[test]
fn rule_without_condition_hides_the_rules_after_it() {
    let rules = json!([{"tier": "t"}, {"tier": "t", "tools": "Absent"}]);
    let spec = json!({"routing": {"requestModels": ["auto"],
        "tiers": [{"name": "t", "models": {"openai": "m"}}], "rules": rules}});
    let loaded = load(&policy(&spec)).unwrap();
    let warnings = &loaded.policies[0].1;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].path, "spec.routing.rules[0]");
}
