use super::super::Error;
use super::*;

mod clocks;
mod repairs;
mod years;

const HOUR: Duration = Duration::from_hours(1);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

fn rotation() -> Rotation {
    Rotation::of_service("llmcache-operator", "llmcache-system")
}

/// Takes steps until nothing is due; that it ends is part of every test.
fn settle(now: SystemTime, stored: &Stored) -> (Stored, Vec<Step>) {
    let (mut stored, mut steps) = (stored.clone(), Vec::new());
    loop {
        let step = plan(now, &stored, &rotation());
        if step == Step::Keep {
            return (stored, steps);
        }
        assert!(steps.len() < 4, "never done at {now:?}: {steps:?}");
        steps.push(step);
        stored = step.apply(now, &stored, &rotation()).unwrap();
    }
}

fn verify(stored: &Stored, now: SystemTime) -> Result<(), rustls::Error> {
    stored.verify("llmcache-operator.llmcache-system.svc", now)
}

/// Whether a client that trusts what was published then takes what is served now.
fn verify_by(trusted: &Stored, served: &Stored, now: SystemTime) -> Result<(), rustls::Error> {
    let leaf = served.serving.as_ref().unwrap();
    leaf.verify(&trusted.bundle, "llmcache-operator.llmcache-system.svc", now)
}

#[test]
fn the_first_step_makes_all_that_is_needed() -> Result<(), Error> {
    let (stored, steps) = settle(start(), &Stored::default());
    assert_eq!(steps, [Step::Begin]);
    for name in rotation().names {
        stored.verify(&name, start()).unwrap();
    }
    stored.verify("another.llmcache-system.svc", start()).unwrap_err();
    let authority = stored.authority.unwrap();
    assert_eq!(authority.certificate.not_before, start() - HOUR, "clocks differ");
    assert_eq!(authority.certificate.not_after, start() + 365 * DAY);
    assert_eq!(stored.serving.unwrap().certificate.not_after, start() + 30 * DAY);
    let redis = LeafTerms {
        names: vec!["llmcache-redis.llmcache-system.svc".to_owned()],
        lifetime: 30 * DAY,
    };
    let leaf = authority.issue(start(), &redis)?;
    leaf.verify(&stored.bundle, "llmcache-redis.llmcache-system.svc", start())
        .unwrap();
    Ok(())
}

#[test]
fn what_is_written_is_read_back_whole() {
    let now = start();
    let stored = settle(now, &Stored::default()).0;
    let stored = Step::Announce.apply(now, &stored, &rotation()).unwrap();
    let mut data = [("other".to_owned(), k8s_openapi::ByteString(vec![1]))].into();
    stored.write_to(&mut data);
    let keys: Vec<&str> = data.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "ca.crt",
            "ca.key",
            "next-ca.crt",
            "next-ca.key",
            "other",
            "tls.crt",
            "tls.key"
        ]
    );
    assert_eq!(Stored::read(&data), stored);
    assert!(!format!("{stored:?}").contains("PRIVATE"), "keys are never shown");
}
