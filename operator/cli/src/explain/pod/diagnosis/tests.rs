use std::sync::Arc;

use llmcache_operator::facts::Key;

use super::*;

fn key(name: &str) -> Key {
    Key {
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn labels_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

fn pod() -> Pod {
    Pod {
        key: key("chat-1"),
        uid: "u".into(),
        labels: labels_of(&[
            ("app", "support-bot"),
            (names::LABEL_INJECTED, "true"),
            ("pod-template-hash", "5d"),
        ]),
        annotations: BTreeMap::new(),
        owner: None,
        created_ms: 0,
        is_leaving: false,
    }
}

fn owner() -> Owner {
    Owner {
        key: key("chat"),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        uid: "o".into(),
        annotations: BTreeMap::new(),
        owner: None,
    }
}

fn placed(policy: Option<&str>, missing: Option<&str>) -> Placed {
    Placed {
        pod: Arc::new(pod()),
        policy: policy.map(key),
        losers: Vec::new(),
        order: if policy.is_some() {
            Order::Keep
        } else {
            Order::PassThrough
        },
        missing: missing.map(str::to_owned),
    }
}

fn well() -> Sidecar {
    Sidecar {
        is_running: true,
        revision: Some("9f2c31".into()),
        is_connected: Some(true),
        requests: Some(7),
        ..Sidecar::default()
    }
}

fn judge(placed: &Placed, sidecar: &Sidecar, policies: &[(&str, &[(&str, &str)])]) -> Vec<Finding> {
    let injection = Injection {
        state: "Injected".into(),
        is_injected: true,
        is_wanted: false,
        message: String::new(),
        fix: None,
    };
    let policies = policies
        .iter()
        .map(|(name, labels)| ((*name).to_owned(), labels_of(labels)));
    findings(&Case {
        pod: &pod(),
        owner: Some(&owner()),
        injection: &injection,
        placed: Some(placed),
        sidecar: Some(sidecar),
        ordered: Some("9f2c31"),
        policies: &policies.collect(),
        install: "llmcache-system",
    })
}

#[test]
fn a_pod_that_is_well_has_no_finding() {
    assert_eq!(judge(&placed(Some("bot"), None), &well(), &[]), []);
}

#[test]
fn no_policy_matches() {
    let template = "kubectl -n shop patch deployment chat --type=merge -p \
                    '{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"llmcache.dev/policy\":\"bot\"}}}}}'";
    let sidecar = Sidecar {
        revision: None,
        ..well()
    };
    let other: &[(&str, &[(&str, &str)])] = &[("bot", &[("app", "bot")])];
    let found = judge(&placed(None, None), &sidecar, other);
    let problem = "no policy matches: bot selects app=bot, and the pod has app=support-bot; everything passes through";
    assert_eq!(found, [Finding::new(problem, template)]);

    let found = judge(&placed(None, None), &sidecar, &[]);
    assert_eq!(
        found[0].problem,
        "no policy matches: the namespace has none; everything passes through"
    );
    assert_eq!(
        found[0].fix,
        "echo '{\"apiVersion\":\"llmcache.dev/v1alpha1\",\"kind\":\"LLMCachePolicy\",\"metadata\":{\"name\":\"support-bot\",\
         \"namespace\":\"shop\"},\"spec\":{\"selector\":{\"matchLabels\":{\"app\":\"support-bot\"}}}}' | kubectl apply -f -"
    );

    let found = judge(&placed(None, Some("bott")), &sidecar, other);
    assert!(
        found[0].problem.contains("names the policy bott, which does not exist"),
        "{found:?}"
    );
    assert_eq!(found[0].fix, template);
}

#[test]
fn base_url_set_in_code() {
    let sidecar = Sidecar {
        requests: Some(0),
        ..well()
    };
    let found = judge(&placed(Some("bot"), None), &sidecar, &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].problem.contains("no request seen since start") && found[0].problem.contains("base URL set in code")
    );
    assert!(
        found[0]
            .fix
            .contains("kubectl -n shop exec chat-1 -- env | grep BASE_URL"),
        "{found:?}"
    );
}

#[test]
fn sidecar_is_broken_cut_off_or_behind() {
    let placed = placed(Some("bot"), None);
    for (sidecar, problem, fix) in [
        (
            Sidecar {
                is_running: false,
                trouble: Some("its container llmcache waits: ErrImagePull: x".into()),
                ..Sidecar::default()
            },
            "the sidecar does not run: its container llmcache waits: ErrImagePull: x",
            "kubectl -n shop describe pod chat-1",
        ),
        (
            Sidecar {
                is_connected: Some(false),
                requests: Some(0),
                ..well()
            },
            "the sidecar is not connected to the operator: it runs what it had last",
            "kubectl -n llmcache-system rollout status deployment/llmcache-operator",
        ),
        (
            Sidecar {
                revision: Some("aaaaaa".into()),
                ..well()
            },
            "the sidecar runs revision aaaaaa and is to run revision 9f2c31",
            "kubectl llmcache explain policy bot -n shop",
        ),
        (
            Sidecar {
                revision: Some(String::new()),
                ..well()
            },
            "the sidecar runs no policy and is to run revision 9f2c31",
            "kubectl llmcache explain policy bot -n shop",
        ),
    ] {
        let found = judge(&placed, &sidecar, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].problem, problem);
        assert!(found[0].fix.starts_with(fix), "{found:?}");
    }
}

#[test]
fn uninjected() {
    let injection = Injection {
        state: "Missing".into(),
        is_injected: false,
        is_wanted: true,
        message: "it is older than the annotation".into(),
        fix: Some("kubectl -n shop rollout restart deployment/chat".into()),
    };
    let found = findings(&Case {
        pod: &pod(),
        owner: Some(&owner()),
        injection: &injection,
        placed: None,
        sidecar: None,
        ordered: None,
        policies: &BTreeMap::new(),
        install: "llmcache-system",
    });
    let expected = Finding::new(
        "the pod has no sidecar: it is older than the annotation",
        "kubectl -n shop rollout restart deployment/chat",
    );
    assert_eq!(found, [expected]);
}
