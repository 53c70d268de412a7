use super::*;

fn invalidation(spec: &Value) -> String {
    json!({
        "apiVersion": "llmcache.dev/v1alpha1",
        "kind": "LLMCacheInvalidation",
        "metadata": {"name": "user-left", "namespace": "shop"},
        "spec": spec,
    })
    .to_string()
}

fn verdict(spec: &Value) -> Vec<String> {
    let found = objects(&invalidation(spec)).map(|_| ()).err().unwrap_or_default();
    found.into_iter().map(|problem| problem.path).collect()
}

#[test]
fn invalidation_says_which_answers_are_meant() {
    let nothing: [&str; 0] = [];
    for (spec, expected) in [
        (json!({"pattern": "user:123:*"}), &nothing[..]),
        (json!({"model": "claude-haiku-5-5", "dryRun": true}), &nothing),
        (json!({"olderThan": "24h", "layer": "ResultCache"}), &nothing),
        (json!({"name": "docs-changed", "policy": "support-bot"}), &nothing),
        (json!({"class": "stable", "layer": "All"}), &nothing),
        (json!({}), &["spec"]),
        (json!({"policy": "support-bot"}), &["spec"]),
        (json!({"dryRun": true, "layer": "All"}), &["spec"]),
        (json!({"name": "a", "pattern": "b"}), &["spec"]),
        (json!({"pattern": ""}), &["spec.pattern"]),
        (json!({"pattern": "a b"}), &["spec.pattern"]),
        (json!({"pattern": "a,b"}), &["spec.pattern"]),
        (json!({"pattern": "user:{user}"}), &["spec.pattern"]),
        (json!({"pattern": "a".repeat(129)}), &["spec.pattern"]),
        (json!({"pattern": 123}), &["spec.pattern"]),
        (json!({"pattern": "*", "model": "a*"}), &["spec.model"]),
        (json!({"pattern": "*", "class": "Stable"}), &["spec.class"]),
        (json!({"pattern": "*", "policy": "Support_Bot"}), &["spec.policy"]),
        (json!({"pattern": "*", "olderThan": "1d"}), &["spec.olderThan"]),
        (json!({"pattern": "*", "olderThan": "2161h"}), &["spec.olderThan"]),
        (json!({"pattern": "*", "layer": "Everything"}), &["spec.layer"]),
        (json!({"pattern": "*", "dryRun": "yes"}), &["spec.dryRun"]),
        (json!({"pattern": "*", "dryrun": true}), &["spec.dryrun"]),
    ] {
        assert_eq!(verdict(&spec), expected, "{spec}");
    }
}

#[test]
fn every_problem_of_an_invalidation_is_named_at_its_line() {
    let text = "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCacheInvalidation\nmetadata: {generateName: cli-}\nspec:\n  \
        name: on\n  pattern: a b\n  olderThan: 9999h\n  layer: resultCache\n";
    let found = objects(text).map(|_| ()).unwrap_err();
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    let expected = [
        "line 4: spec: {\"name\":true,\"pattern\":\"a b\",\"olderThan\":\"9999h\",\"layer\":\"resultCache\"}: a named \
         invalidation has its own pattern; allowed: name or pattern; fix: leave out name or pattern",
        "line 8: spec.layer: \"resultCache\": is not a word of this field; allowed: All, ResultCache, SemanticCache; \
         fix: did you mean ResultCache?",
        "line 5: spec.name: on: on without quotes is a boolean in YAML 1.1; allowed: 1…63 characters: lower-case letters, \
         digits and inner hyphens; fix: write \"on\" in quotes if this text is meant",
        "line 7: spec.olderThan: \"9999h\": duration is out of bounds; allowed: 0s…2160h; fix: write a duration from 0s \
         to 2160h",
        "line 6: spec.pattern: \"a b\": is malformed; allowed: 1…128 characters: text without white space, comma and \
         braces; fix: write only the characters allowed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn both_kinds_of_one_file_are_judged_together() {
    let policy = policy(&json!({}));
    let one = invalidation(&json!({"pattern": "a"}));
    let both = objects(&format!("{policy}\n---\n{one}")).unwrap();
    assert_eq!((both.policies.len(), both.invalidations.len()), (1, 1));
    assert_eq!(both.invalidations[0].spec.pattern.as_deref(), Some("a"));

    let twice = objects(&format!("{one}\n---\n{one}")).unwrap_err();
    assert_eq!(twice[0].message, "two invalidations of the file have this name");
    let nameless = one.replace("\"name\":\"user-left\"", "\"generateName\":\"left-\"");
    assert_eq!(
        objects(&format!("{nameless}\n---\n{nameless}"))
            .unwrap()
            .invalidations
            .len(),
        2
    );
    assert!(load(&one).is_err(), "only policies were asked for");
    let misspelt = objects(&one.replace("LLMCacheInvalidation", "LLMCacheInvalidatoin")).unwrap_err();
    assert_eq!((misspelt.len(), &*misspelt[0].path), (1, "kind"), "{misspelt:?}");
}

#[test]
fn typed_invalidation_gets_the_verdict_of_its_text() {
    let loaded = objects(&invalidation(&json!({"pattern": "user:*"}))).unwrap();
    let mut typed = loaded.invalidations[0].clone();
    assert_eq!(validate_invalidation(&typed), Ok(()));
    typed.spec.pattern = Some("a b".into());
    assert_eq!(paths(&validate_invalidation(&typed).unwrap_err()), ["spec.pattern"]);
}

#[test]
fn every_example_of_an_invalidation_is_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/examples/invalidation");
    let files = std::fs::read_dir(folder).unwrap();
    let read = files.map(|entry| objects(&std::fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap());
    assert!(read.map(|found| found.invalidations.len()).sum::<usize>() > 0);
}
