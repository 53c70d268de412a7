use super::*;

fn sighting(pod: &str, connected_ms: u64) -> Sighting {
    Sighting {
        pod_uid: pod.into(),
        connected_ms,
        ..Sighting::default()
    }
}

fn said(replica: &str, sightings: Vec<Sighting>) -> Sightings {
    Sightings {
        replica: replica.into(),
        sightings,
    }
}

#[test]
fn an_older_connection_neither_speaks_nor_takes_the_entry_with_it() {
    let sidecars = Sidecars::default();
    let old = sidecars.enter(sighting("a", 1));
    let new = sidecars.enter(sighting("a", 2));
    old.acked("r1".into(), vec![]);
    assert_eq!(sidecars.all(0)["a"].acked, None);
    drop(old);
    new.acked("r2".into(), vec![]);
    assert_eq!(sidecars.all(0)["a"].acked.as_deref(), Some("r2"));
    drop(new);
    assert!(sidecars.all(0).is_empty());
}

#[test]
fn the_youngest_connection_over_all_replicas_is_the_true_one() {
    let sidecars = Sidecars::default();
    let here = sidecars.enter(sighting("a", 5));
    here.acked("old".into(), vec![]);
    let there = Sighting {
        acked: Some("new".into()),
        ..sighting("a", 9)
    };
    sidecars.hear(said("other", vec![there, sighting("b", 1)]), 1_000);
    let all = sidecars.all(1_000);
    assert_eq!((all["a"].acked.as_deref(), all.len()), (Some("new"), 2));
    assert_eq!(sidecars.own().len(), 1);
    let later = sidecars.all(1_001 + REPLICA_SILENCE_MS);
    assert_eq!((later["a"].acked.as_deref(), later.len()), (Some("old"), 1));
}

#[test]
fn every_change_wakes_and_what_is_kept_is_bounded() {
    let sidecars = Sidecars::default();
    let mut woken = sidecars.subscribe();
    let entry = sidecars.enter(sighting("a", 1));
    assert!(woken.has_changed().unwrap());
    woken.borrow_and_update();
    for at in 0..200 {
        entry.banned(BanResult {
            id: at.to_string(),
            ..BanResult::default()
        });
    }
    assert!(woken.has_changed().unwrap());
    assert_eq!(
        sidecars.all(0)["a"].ban_results.len(),
        200,
        "of each that it may be told"
    );
    for at in 200..300 {
        entry.banned(BanResult {
            id: at.to_string(),
            ..BanResult::default()
        });
    }
    assert_eq!(sidecars.all(0)["a"].ban_results.len(), MAX_RESULTS);
    woken.borrow_and_update();
    let awaited = BTreeSet::from(["299".to_owned()]);
    entry.forget_results_but(&awaited);
    assert_eq!(sidecars.all(0)["a"].ban_results.len(), 1);
    assert!(woken.has_changed().unwrap());
    woken.borrow_and_update();
    entry.forget_results_but(&awaited);
    assert!(!woken.has_changed().unwrap(), "nothing changed");
    for replica in 0..100 {
        sidecars.hear(said(&replica.to_string(), vec![sighting(&format!("p{replica}"), 1)]), 0);
    }
    assert_eq!(sidecars.all(0).len(), 1 + MAX_REPLICAS);
}

#[test]
fn what_a_sidecar_executes_is_not_known_while_it_is_told_another_revision() {
    let sidecars = Sidecars::default();
    let entry = sidecars.enter(sighting("a", 1));
    entry.acked("r1".into(), vec![]);
    entry.offered();
    assert_eq!(sidecars.all(0)["a"].acked, None);
    entry.nacked("r2".into(), "why".into());
    entry.offered();
    assert!(sidecars.all(0)["a"].nacked.is_empty());
}
