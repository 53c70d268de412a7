use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use llmcache_crds::LLMCachePolicy;
use llmcache_crds::invalidation::{LLMCacheInvalidationStatus, condition, reason};
use llmcache_policy::push::{BanResult, Sighting};
use serde_json::{Value, json};

use super::*;
use crate::facts::Pod;
use crate::index::{Change, Delta, Index};
use crate::plan::{Order, Placed};

const HOUR_MS: i64 = 3_600_000;
/// When the ban of [`ban`] was written.
const BORN_MS: i64 = 1_767_225_600_000;

fn ban(name: &str, spec: &Value) -> LLMCacheInvalidation {
    serde_json::from_value(json!({
        "apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCacheInvalidation",
        "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-{name}"), "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": spec,
    }))
    .unwrap()
}

fn policy(name: &str, entries: &[&str]) -> LLMCachePolicy {
    let entries = entries.iter().map(|entry| json!({"name": entry, "pattern": "doc:*"}));
    serde_json::from_value(json!({
        "apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCachePolicy",
        "metadata": {"namespace": "shop", "name": name, "uid": name},
        "spec": {"invalidation": entries.collect::<Vec<_>>()},
    }))
    .unwrap()
}

/// A world with these policies and, in its plan, injected pods `(name, policy)` that are older than the ban.
fn world(policies: Vec<LLMCachePolicy>, bans: Vec<LLMCacheInvalidation>, pods: &[(&str, &str)]) -> World {
    let mut world = World::default();
    world.index.apply(Change::Policies(Delta::All(policies)));
    world.index.apply(Change::Invalidations(Delta::All(bans)));
    for (name, policy) in pods {
        let key = |name: &str| Key {
            namespace: "shop".into(),
            name: name.into(),
        };
        let pod = Pod {
            key: key(name),
            uid: format!("pod-{name}"),
            labels: [("llmcache.dev/injected".to_owned(), "true".to_owned())].into(),
            annotations: BTreeMap::new(),
            owner: None,
            created_ms: BORN_MS - HOUR_MS,
            is_leaving: false,
        };
        let placed = Placed {
            losers: Vec::new(),
            pod: Arc::new(pod),
            policy: (!policy.is_empty()).then(|| key(policy)),
            order: Order::Keep,
            missing: None,
        };
        world.plan.pods.insert(placed.pod.uid.clone(), placed);
    }
    world
}

/// What a sidecar answered to the ban `a`: `(matched, is_in_store, error)`.
fn sighting(pod: &str, answer: Option<(u64, bool, &str)>) -> (String, Sighting) {
    let uid = format!("pod-{pod}");
    let result = answer.map(|(matched, is_in_store, error)| BanResult {
        id: "uid-a".into(),
        matched,
        is_complete: true,
        is_in_store,
        error: error.into(),
    });
    let sighting = Sighting {
        pod_uid: uid.clone(),
        namespace: "shop".into(),
        pod: pod.into(),
        ban_results: result.into_iter().collect(),
        ..Sighting::default()
    };
    (uid, sighting)
}

fn said<'a>(status: &'a LLMCacheInvalidationStatus, kind: &str) -> &'a Condition {
    status.conditions.iter().find(|known| known.type_ == kind).unwrap()
}

/// Judged an hour after it was written, when the leader has long led.
fn late(object: &LLMCacheInvalidation, world: &World, sightings: &[(String, Sighting)]) -> Option<Verdict> {
    let sightings: HashMap<String, Sighting> = sightings.iter().cloned().collect();
    judge(object, world, &sightings, BORN_MS, BORN_MS + HOUR_MS)
}

#[test]
fn it_is_complete_when_every_connected_sidecar_answered_and_counts_a_store_once() {
    let a = ban("a", &json!({"pattern": "user:1:*"}));
    let world = world(vec![], vec![a.clone()], &[("x", ""), ("y", ""), ("z", "")]);
    let half = [sighting("x", Some((3, false, ""))), sighting("y", None)];
    let verdict = late(&a, &world, &half).unwrap();
    assert_eq!(verdict.outcome, None);
    let complete = said(&verdict.status, condition::COMPLETE);
    assert_eq!(
        (complete.status.as_str(), complete.reason.as_str()),
        ("False", reason::PENDING)
    );
    assert_eq!(complete.message, "not answered yet: y");
    assert_eq!(verdict.status.sidecars.as_deref(), Some("1/2"));

    let whole = [
        sighting("x", Some((3, false, ""))),
        sighting("y", Some((4, true, ""))),
        sighting("z", Some((5, true, ""))),
    ];
    let verdict = late(&a, &world, &whole).unwrap();
    assert_eq!(verdict.outcome, Some(Outcome::Complete));
    assert_eq!(verdict.status.matched, Some(8), "3 in a pod and 5 in the store");
    assert_eq!(verdict.status.sidecars.as_deref(), Some("3/3"));
    assert_eq!(said(&verdict.status, condition::ACCEPTED).status, "True");
    let notice = verdict.notice(&a, &Key::of(&a.metadata), Outcome::Complete);
    assert_eq!(notice.message, "pattern user:1:*: 8 answers cleared; sidecars 3/3");
    assert!(!notice.is_warning);

    // Once complete it stays so, whoever comes later.
    let mut done = a;
    done.status = Some(verdict.status);
    assert_eq!(late(&done, &world, &half), None);
}

#[test]
fn the_same_status_is_not_written_twice_and_a_condition_keeps_its_time() {
    let mut a = ban("a", &json!({"pattern": "*"}));
    let world = world(vec![], vec![], &[("x", "")]);
    let silent: HashMap<String, Sighting> = [sighting("x", None)].into();
    let first = judge(&a, &world, &silent, BORN_MS, BORN_MS + 1_000).unwrap();
    a.status = Some(first.status.clone());
    assert_eq!(judge(&a, &world, &silent, BORN_MS, BORN_MS + 2_000), None);
    let answered: HashMap<String, Sighting> = [sighting("x", Some((0, false, "")))].into();
    let second = judge(&a, &world, &answered, BORN_MS, BORN_MS + 3_000).unwrap();
    let times = |status: &LLMCacheInvalidationStatus| {
        [condition::ACCEPTED, condition::COMPLETE].map(|kind| said(status, kind).last_transition_time.0.as_second())
    };
    let born_s = BORN_MS / 1_000;
    assert_eq!(times(&first.status), [born_s + 1, born_s + 1]);
    assert_eq!(times(&second.status), [born_s + 1, born_s + 3]);
}

#[test]
fn sidecars_that_are_away_are_waited_for_after_a_restart_of_the_operator() {
    let a = ban("a", &json!({"pattern": "*"}));
    let world = world(vec![], vec![], &[("x", ""), ("y", "")]);
    let one: HashMap<String, Sighting> = [sighting("x", Some((1, false, "")))].into();
    let leading_ms = BORN_MS + HOUR_MS;
    let early = judge(&a, &world, &one, leading_ms, leading_ms + 29_999).unwrap();
    assert_eq!(said(&early.status, condition::COMPLETE).message, "not answered yet: y");
    let late = judge(&a, &world, &one, leading_ms, leading_ms + 30_000).unwrap();
    assert_eq!(late.outcome, Some(Outcome::Complete), "the rest are not connected");
    // With none connected nothing is known.
    let nobody = judge(&a, &world, &HashMap::new(), leading_ms, leading_ms + HOUR_MS).unwrap();
    assert_eq!(
        said(&nobody.status, condition::COMPLETE).message,
        "not answered yet: x, y"
    );
}

#[test]
fn where_no_sidecar_is_it_is_complete_until_one_obeys_it() {
    let mut a = ban("a", &json!({"pattern": "*"}));
    let empty = world(vec![], vec![], &[]);
    let verdict = late(&a, &empty, &[]).unwrap();
    let complete = said(&verdict.status, condition::COMPLETE);
    assert_eq!(
        (complete.status.as_str(), complete.reason.as_str()),
        ("True", reason::NO_SIDECARS)
    );
    a.status = Some(verdict.status);
    assert_eq!(late(&a, &empty, &[]), None);
    assert_eq!(late(&a, &empty, &[sighting("x", None)]), None, "no flapping");
    let obeyed = late(&a, &empty, &[sighting("x", Some((2, true, "")))]).unwrap();
    assert_eq!(said(&obeyed.status, condition::COMPLETE).reason, reason::COMPLETE);
    assert_eq!(obeyed.status.matched, Some(2));
}

#[test]
fn one_that_cannot_obey_fails_it_until_it_can() {
    let mut a = ban("a", &json!({"pattern": "*"}));
    let world = world(vec![], vec![], &[]);
    let answers = [
        sighting("x", Some((1, false, ""))),
        sighting("y", Some((0, true, "store is away"))),
    ];
    let verdict = late(&a, &world, &answers).unwrap();
    assert_eq!(verdict.outcome, Some(Outcome::Failed));
    let complete = said(&verdict.status, condition::COMPLETE);
    assert_eq!(
        (complete.reason.as_str(), complete.message.as_str()),
        (reason::FAILED, "y: store is away")
    );
    assert!(verdict.notice(&a, &Key::of(&a.metadata), Outcome::Failed).is_warning);
    a.status = Some(verdict.status);
    let again = late(
        &a,
        &world,
        &[sighting("x", Some((1, false, ""))), sighting("y", Some((0, true, "")))],
    );
    assert_eq!(again.unwrap().outcome, Some(Outcome::Complete));
}

#[test]
fn names_that_name_nothing_are_refused_with_those_there_are() {
    let policies = || vec![policy("bot", &["docs", "all"]), policy("other", &["news"])];
    for (spec, expected) in [
        (
            json!({"pattern": "*", "policy": "bott"}),
            "spec.policy: bott is no policy of this namespace; it has bot, other",
        ),
        (
            json!({"name": "dogs"}),
            "spec.name: dogs is no entry of spec.invalidation of the policies meant; they have docs, all, news",
        ),
        (json!({"name": "news", "policy": "bot"}), "they have docs, all"),
    ] {
        let a = ban("a", &spec);
        let world = world(policies(), vec![a.clone()], &[]);
        let verdict = late(&a, &world, &[sighting("x", Some((1, false, "")))]).unwrap();
        assert_eq!(verdict.outcome, Some(Outcome::NotFound));
        let accepted = said(&verdict.status, condition::ACCEPTED);
        assert_eq!(
            (accepted.status.as_str(), accepted.reason.as_str()),
            ("False", reason::NOT_FOUND)
        );
        assert!(accepted.message.contains(expected), "{}", accepted.message);
        assert_eq!(BanBook::of(&world.index, BORN_MS).for_namespace("shop"), []);
    }
}

#[test]
fn a_named_policy_or_entry_is_for_the_sidecars_of_that_policy_alone() {
    let policies = || vec![policy("bot", &["docs"]), policy("other", &["news"])];
    let answers = [
        sighting("x", Some((1, false, ""))),
        sighting("y", None),
        sighting("z", None),
    ];
    for spec in [json!({"pattern": "*", "policy": "bot"}), json!({"name": "docs"})] {
        let a = ban("a", &spec);
        let world = world(policies(), vec![], &[("x", "bot"), ("y", "other"), ("z", "")]);
        let verdict = late(&a, &world, &answers).unwrap();
        assert_eq!(verdict.outcome, Some(Outcome::Complete), "{spec}");
        assert_eq!(verdict.status.sidecars.as_deref(), Some("1/1"));
    }
}

#[test]
fn the_book_has_what_is_not_complete_or_may_matter_still() {
    let mut a = ban(
        "a",
        &json!({"pattern": "*", "olderThan": "1h30m", "layer": "ResultCache", "dryRun": true}),
    );
    let book = |a: &LLMCacheInvalidation, now_ms| BanBook::of(&world(vec![], vec![a.clone()], &[]).index, now_ms);
    let fresh = book(&a, BORN_MS);
    let [ban] = fresh.for_namespace("shop") else {
        panic!("one")
    };
    assert_eq!(
        (ban.id.as_str(), ban.pattern.as_str(), ban.layer.as_str()),
        ("uid-a", "*", "ResultCache")
    );
    assert_eq!((ban.older_than_ms, ban.dry_run), (Some(5_400_000), true));
    assert_eq!(fresh.for_namespace("bank"), []);
    assert_eq!(fresh.awaited("shop").into_iter().collect::<Vec<_>>(), ["uid-a"]);

    let sidecars = [sighting("x", Some((1, false, "")))];
    a.status = Some(late(&a, &World::default(), &sidecars).unwrap().status);
    let done_ms = BORN_MS + HOUR_MS;
    assert!(book(&a, done_ms).awaited("shop").is_empty());
    assert_eq!(book(&a, done_ms + 599_999).for_namespace("shop").len(), 1);
    assert_eq!(book(&a, done_ms + 600_000).for_namespace("shop").len(), 0);
    // A sidecar that was away, and a policy that nobody executed, may hold answers as old as any may be.
    a.spec.dry_run = None;
    assert_eq!(book(&a, done_ms + 90 * 24 * HOUR_MS - 1).for_namespace("shop").len(), 1);
    assert_eq!(book(&a, done_ms + 90 * 24 * HOUR_MS).for_namespace("shop").len(), 0);

    a.status = None;
    a.status = Some(late(&a, &World::default(), &[]).unwrap().status);
    assert_eq!(
        book(&a, done_ms + 90 * 24 * HOUR_MS).for_namespace("shop").len(),
        1,
        "nobody obeyed it yet"
    );
}

#[test]
fn a_namespace_is_sent_the_newest_256_oldest_first() {
    let bans = (0..300).map(|n| {
        let mut ban = ban(&format!("b{n:03}"), &json!({"pattern": "*"}));
        let at = k8s_openapi::jiff::Timestamp::from_second(n).unwrap();
        ban.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
        ban
    });
    let book = BanBook::of(&world(vec![], bans.collect(), &[]).index, 1_000_000);
    let sent = book.for_namespace("shop");
    assert_eq!(sent.len(), MAX_BANS);
    assert_eq!((sent[0].id.as_str(), sent[255].id.as_str()), ("uid-b044", "uid-b299"));
}

#[test]
fn what_is_not_obeyed_yet_is_sent_before_all_else_and_what_is_repeated_once() {
    let at = |n: i64, pattern: &str, is_complete: bool| {
        let mut ban = ban(&format!("b{n:03}"), &json!({"pattern": pattern}));
        if is_complete {
            let mut answer = sighting("x", Some((0, false, "")));
            answer.1.ban_results[0].id = format!("uid-b{n:03}");
            ban.status = Some(late(&ban, &World::default(), &[answer]).unwrap().status);
        }
        let at = k8s_openapi::jiff::Timestamp::from_second(n).unwrap();
        ban.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
        ban
    };
    let complete = (1..300).map(|n| at(n, &format!("user:{n}:*"), true));
    let bans = [at(0, "first", false)].into_iter().chain(complete);
    let book = BanBook::of(&world(vec![], bans.collect(), &[]).index, BORN_MS + HOUR_MS);
    let sent = book.for_namespace("shop");
    let ids: Vec<&str> = sent.iter().map(|ban| ban.id.as_str()).collect();
    assert_eq!(
        (ids.len(), ids[0], ids[1], ids[255]),
        (MAX_BANS, "uid-b000", "uid-b045", "uid-b299")
    );

    let bans = vec![
        at(1, "*", true),
        at(2, "*", true),
        at(3, "other", true),
        at(4, "*", false),
    ];
    let book = BanBook::of(&world(vec![], bans, &[]).index, BORN_MS + HOUR_MS);
    let ids: Vec<&str> = book.for_namespace("shop").iter().map(|ban| ban.id.as_str()).collect();
    assert_eq!(ids, ["uid-b003", "uid-b004"]);
}

#[test]
fn only_own_ones_are_deleted_a_day_after_they_are_done_but_for_the_newest_of_a_pattern() {
    let mut own = ban("a", &json!({"pattern": "*"}));
    own.metadata.labels = Some([(LABEL_ON_CHANGE.to_owned(), "bot".to_owned())].into());
    own.status = Some(
        late(&own, &World::default(), &[sighting("x", Some((1, false, "")))])
            .unwrap()
            .status,
    );
    let mut theirs = own.clone();
    theirs.metadata.name = Some("theirs".into());
    theirs.metadata.labels = None;
    let mut pending = own.clone();
    pending.metadata.name = Some("pending".into());
    pending.status = None;
    let later = k8s_openapi::jiff::Timestamp::from_millisecond(BORN_MS + 1_000).unwrap();
    pending.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(later));
    let mut other = own.clone();
    other.metadata.name = Some("other".into());
    other.spec.pattern = Some("doc:*".into());
    let world = world(vec![], vec![own, theirs, pending, other], &[]);
    let names = |now_ms| -> Vec<String> {
        let outdated = outdated(&world.index, now_ms);
        outdated
            .iter()
            .filter_map(|object| object.metadata.name.clone())
            .collect()
    };
    let done_ms = BORN_MS + HOUR_MS;
    assert!(names(done_ms + 24 * HOUR_MS - 1).is_empty());
    assert_eq!(names(done_ms + 24 * HOUR_MS), ["a"]);
    assert_eq!(names(done_ms + 90 * 24 * HOUR_MS), ["a", "other"]);
}

#[test]
fn a_label_holds_the_beginning_of_a_long_name() {
    assert_eq!(label_of("bot"), "bot");
    let long = format!("{}.{}", "a".repeat(62), "b".repeat(9));
    assert_eq!(label_of(&long), "a".repeat(62));
}

#[test]
fn the_index_alone_decides_after_a_restart() {
    let a = ban("a", &json!({"pattern": "*"}));
    let index: Index = world(vec![], vec![a], &[]).index;
    assert_eq!(
        BanBook::of(&index, BORN_MS),
        BanBook::of(&index.clone(), BORN_MS + HOUR_MS)
    );
}
