//! Owners' words in their pod templates.

use super::*;

const KEY: &str = "llmcache.dev/inject-from-owner";

fn deployment(word: Option<&str>, template: &Value) -> Value {
    let annotations = word.map_or(json!({}), |word| json!({"llmcache.dev/inject": word}));
    json!({"metadata": {"name": "chat", "annotations": annotations}, "spec": {"template": template}})
}

fn key_after(object: &Value, kind: &str, rule: Rule) -> Option<String> {
    let Owner { patch, .. } = owner(object, kind, rule);
    let patched = applied(object, &patch);
    assert_eq!(owner(&patched, kind, rule).patch, Patch::default(), "second pass");
    let template = match kind {
        "CronJob" => &patched["spec"]["jobTemplate"]["spec"]["template"],
        _ => &patched["spec"]["template"],
    };
    template["metadata"]["annotations"][KEY].as_str().map(str::to_owned)
}

#[test]
fn word_is_copied_into_every_shape_of_template() {
    let shapes = [
        json!({}),
        json!({"metadata": null}),
        json!({"metadata": {}}),
        json!({"metadata": {"annotations": null}}),
        json!({"metadata": {"annotations": {"a": "b"}}}),
        json!({"metadata": {"annotations": {KEY: "disabled"}}}),
        json!({"metadata": {"annotations": {KEY: "enabled"}}}),
    ];
    for shape in shapes {
        for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
            let object = deployment(Some("enabled"), &shape);
            assert_eq!(
                key_after(&object, kind, Rule::Lasting).as_deref(),
                Some("enabled"),
                "{object}"
            );
        }
    }
}

#[test]
fn disabled_is_copied_too() {
    let object = deployment(Some("disabled"), &json!({"metadata": {}}));
    assert_eq!(
        key_after(&object, "Deployment", Rule::Lasting).as_deref(),
        Some("disabled")
    );
}

#[test]
fn stale_key_goes_and_nothing_else() {
    let annotations = json!({"a": "b", KEY: "enabled", "llmcache.dev/inject": "enabled"});
    let object = deployment(None, &json!({"metadata": {"annotations": annotations}}));
    let patched = applied(&object, &owner(&object, "Deployment", Rule::Lasting).patch);
    let left = json!({"a": "b", "llmcache.dev/inject": "enabled"});
    assert_eq!(patched["spec"]["template"]["metadata"]["annotations"], left);
}

#[test]
fn unclear_word_warns_and_counts_as_none() {
    let object = deployment(Some("true"), &json!({"metadata": {"annotations": {KEY: "enabled"}}}));
    let Owner { warnings, .. } = owner(&object, "Deployment", Rule::Lasting);
    assert!(warnings[0].contains("\"true\""), "{warnings:?}");
    assert_eq!(key_after(&object, "Deployment", Rule::Lasting), None);
}

#[test]
fn cron_job_has_its_template_deeper() {
    let template = json!({"spec": {"jobTemplate": {"spec": {"template": {"metadata": {}}}}}});
    let mut object = template;
    object["metadata"] = json!({"annotations": {"llmcache.dev/inject": "enabled"}});
    assert_eq!(key_after(&object, "CronJob", Rule::Lasting).as_deref(), Some("enabled"));
}

#[test]
fn job_of_a_cron_job_keeps_the_key_that_it_was_born_with() {
    let object = deployment(None, &json!({"metadata": {"annotations": {KEY: "enabled"}}}));
    assert_eq!(key_after(&object, "Job", Rule::Once).as_deref(), Some("enabled"));
    let own = deployment(
        Some("disabled"),
        &json!({"metadata": {"annotations": {KEY: "enabled"}}}),
    );
    assert_eq!(key_after(&own, "Job", Rule::Once).as_deref(), Some("disabled"));
}

#[test]
fn owner_without_a_template_is_left_alone() {
    for object in [
        json!(null),
        json!({"spec": 1}),
        json!({"spec": {"template": null}}),
        json!([]),
    ] {
        assert_eq!(owner(&object, "Deployment", Rule::Lasting), Owner::default());
    }
}
