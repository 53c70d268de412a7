//! An owner's word, copied into its pod template, so that annotating a Deployment rolls it by itself.
//!
//! Only the key `llmcache.dev/inject-from-owner` is ever added or removed: nobody owns what a webhook adds, so no applier
//! meets a conflict and none prunes it.

use llmcache_policy::names::{ANNOTATION_FROM_OWNER, ANNOTATION_INJECT};
use serde_json::{Value, json};

use super::patch::{Patch, pointer};
use super::read::{annotation, quoted};

/// Which owners, by when they may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob`: created or updated; a stale key is removed.
    Lasting,
    /// `Job`: created only, its template cannot change; without a word of its own it keeps the key that its `CronJob`
    /// gave it.
    Once,
}

/// What happens to an owner.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Owner {
    /// At most one key of the template.
    pub patch: Patch,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Judges one owner as it is written; `kind` is its Kubernetes kind.
pub fn owner(object: &Value, kind: &str, rule: Rule) -> Owner {
    let mut result = Owner::default();
    let steps: &[&str] = match kind {
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        _ => &["spec", "template"],
    };
    let Some(template) = steps.iter().try_fold(object, |value, step| value.get(step)) else {
        return result;
    };
    if !template.is_object() {
        return result;
    }
    let word = annotation(object, ANNOTATION_INJECT);
    let wanted = word.filter(|word| matches!(*word, "enabled" | "disabled"));
    if let (Some(word), None) = (word, wanted) {
        let word = quoted(word);
        result.warnings.push(format!(
            "annotation {ANNOTATION_INJECT}: {word} is neither \"enabled\" nor \"disabled\", so it does nothing; write \"enabled\""
        ));
    }
    if rule == Rule::Lasting || wanted.is_some() {
        write(&mut result.patch, steps, template, wanted);
    }
    result
}

fn write(patch: &mut Patch, place: &[&str], template: &Value, wanted: Option<&str>) {
    let pointer = |steps: &[&str]| pointer(&[place, steps].concat());
    let metadata = &template["metadata"];
    let present = metadata["annotations"].get(ANNOTATION_FROM_OWNER);
    let key = pointer(&["metadata", "annotations", ANNOTATION_FROM_OWNER]);
    match (present, wanted) {
        (None, None) => {}
        (Some(_), None) => patch.remove(&key),
        (Some(present), Some(word)) if present == word => {}
        (Some(_), Some(word)) => patch.replace(&key, word.into()),
        (None, Some(word)) if metadata["annotations"].is_object() => patch.add(&key, word.into()),
        (None, Some(word)) if metadata.is_object() => {
            patch.add(
                &pointer(&["metadata", "annotations"]),
                json!({ANNOTATION_FROM_OWNER: word}),
            );
        }
        (None, Some(word)) => {
            let annotations = json!({"annotations": {ANNOTATION_FROM_OWNER: word}});
            patch.add(&pointer(&["metadata"]), annotations);
        }
    }
}
