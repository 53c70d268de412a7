//! The checker: what pods executed and what statuses said, with times, in; what must not have been, out. Pure.

use std::collections::BTreeMap;

/// One look at a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// When the pod was asked and when it had answered, milliseconds since the run began.
    pub(crate) asked_ms: u64,
    pub(crate) told_ms: u64,
    /// Uid of the policy in force; empty = none.
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) revision: String,
}

/// One look at the policy's status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// When it had been read, milliseconds since the run began: it was written before.
    pub(crate) read_ms: u64,
    pub(crate) generation: i64,
    pub(crate) revision: String,
    pub(crate) is_programmed: bool,
    pub(crate) serving: i32,
    pub(crate) matched: i32,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) pods: BTreeMap<String, Vec<Sample>>,
    pub(crate) said: Vec<Said>,
}

/// How much a check had to judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    /// Changes of what a pod executes.
    pub(crate) turns: usize,
    /// Statuses that said Programmed, each against each pod.
    pub(crate) programmed: usize,
}

/// Judges all that was seen; every contradiction is a line.
pub(crate) fn check(history: &History) -> Result<Judged, Vec<String>> {
    let mut problems = Vec::new();
    let mut judged = Judged::default();
    for (pod, samples) in &history.pods {
        judged.turns += never_goes_back(pod, samples, &mut problems);
        judged.programmed += keeps_its_word(pod, samples, &history.said, &mut problems);
    }
    if problems.is_empty() { Ok(judged) } else { Err(problems) }
}

/// Per policy uid a generation never goes back. Nothing here offers only lower ones for a minute, so there is no exception.
fn never_goes_back(pod: &str, samples: &[Sample], problems: &mut Vec<String>) -> usize {
    let mut highest: BTreeMap<&str, &Sample> = BTreeMap::new();
    let mut turns = 0;
    for sample in samples.iter().filter(|sample| !sample.uid.is_empty()) {
        let before = highest.insert(&sample.uid, sample);
        let Some(before) = before else { continue };
        if sample.generation < before.generation {
            problems.push(format!(
                "{pod} went back from generation {} to {} at {} ms",
                before.generation, sample.generation, sample.told_ms
            ));
        }
        if sample.generation == before.generation && sample.revision != before.revision {
            problems.push(format!(
                "{pod} executed two revisions of generation {}, {} and {}",
                sample.generation, before.revision, sample.revision
            ));
        }
        turns += usize::from(sample.generation != before.generation);
    }
    turns
}

/// Programmed was written after every sidecar had acknowledged: whoever is asked after it was read executes that revision
/// or a later one.
fn keeps_its_word(pod: &str, samples: &[Sample], said: &[Said], problems: &mut Vec<String>) -> usize {
    let mut judged = 0;
    for said in said.iter().filter(|said| said.is_programmed) {
        let at = samples.partition_point(|sample| sample.asked_ms < said.read_ms);
        let Some(sample) = samples.get(at) else { continue };
        judged += 1;
        let is_older = sample.uid.is_empty() || sample.generation < said.generation;
        let is_other = sample.generation == said.generation && sample.revision != said.revision;
        if is_older || is_other {
            problems.push(format!(
                "the status said at {} ms that generation {} ({}) is programmed on {} of {}, and {pod} executed generation \
                 {} ({}) at {} ms",
                said.read_ms,
                said.generation,
                said.revision,
                said.serving,
                said.matched,
                sample.generation,
                sample.revision,
                sample.told_ms
            ));
        }
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(asked_ms: u64, generation: i64) -> Sample {
        Sample {
            asked_ms,
            told_ms: asked_ms + 1,
            uid: "u".into(),
            generation,
            revision: format!("r{generation}"),
        }
    }

    fn programmed(read_ms: u64, generation: i64) -> Said {
        Said {
            read_ms,
            generation,
            revision: format!("r{generation}"),
            is_programmed: true,
            serving: 1,
            matched: 1,
        }
    }

    fn history(samples: Vec<Sample>, said: Vec<Said>) -> History {
        History {
            pods: BTreeMap::from([("chat-1".into(), samples)]),
            said,
        }
    }

    #[test]
    fn a_good_history_is_judged_in_full() {
        let good = history(
            vec![sample(0, 1), sample(10, 2), sample(20, 2)],
            vec![programmed(5, 1), programmed(15, 2)],
        );
        let judged = Judged {
            turns: 1,
            programmed: 2,
        };
        assert_eq!(check(&good), Ok(judged));
    }

    #[test]
    fn a_step_back_is_found() {
        let back = history(vec![sample(0, 2), sample(10, 1), sample(20, 2)], vec![]);
        assert!(check(&back).unwrap_err()[0].contains("went back from generation 2 to 1"));
        let mut two = history(vec![sample(0, 2), sample(10, 2)], vec![]);
        two.pods.get_mut("chat-1").unwrap()[1].revision = "other".into();
        assert!(check(&two).unwrap_err()[0].contains("two revisions"));
    }

    #[test]
    fn a_status_ahead_of_a_pod_is_found() {
        let early = history(vec![sample(0, 1), sample(10, 1), sample(20, 2)], vec![programmed(5, 2)]);
        assert!(check(&early).unwrap_err()[0].contains("is programmed on 1 of 1"));
        let mut none = history(vec![sample(0, 1), sample(10, 1)], vec![programmed(5, 1)]);
        none.pods.get_mut("chat-1").unwrap()[1].uid.clear();
        assert!(check(&none).is_err());
    }
}
