//! The counts for people and for programs.

use serde_json::{Value, json};

use super::score::{Scores, Served, Step};
use crate::table::{self, Align};

/// Tables for people.
pub(super) fn text(scores: &Scores) -> String {
    let Scores {
        same,
        different,
        bypassed,
        ..
    } = scores;
    let pairs = same + different;
    format!(
        "pairs {pairs}: {same} same, {different} different; {bypassed} bypassed (a text over 128 tokens)\n\n\
         embedding alone\n{}\n\nwith guards\n{}\n\n{}",
        steps(scores, |step| step.embedding),
        steps(scores, |step| step.guarded),
        vetoes(scores)
    )
}

fn steps(scores: &Scores, served: impl Fn(&Step) -> Served) -> String {
    let mut rows = vec![["threshold", "served", "right", "wrong", "precision", "recall"].map(String::from)];
    let share = |share: Option<f64>| share.map_or_else(|| "-".into(), |share| format!("{share:.4}"));
    rows.extend(scores.steps.iter().map(|step| {
        let served = served(step);
        [
            format!("0.{}", step.threshold),
            served.all().to_string(),
            served.right.to_string(),
            served.wrong.to_string(),
            share(ratio(served.right, served.all())),
            share(ratio(served.right, scores.same)),
        ]
    }));
    table::aligned(&rows, Align::Right)
}

fn vetoes(scores: &Scores) -> String {
    let mut rows = vec![["vetoes by guard", "same", "different"].map(String::from)];
    rows.extend(scores.vetoes.iter().map(|vetoes| {
        [
            vetoes.guard.word().into(),
            vetoes.same.to_string(),
            vetoes.different.to_string(),
        ]
    }));
    table::aligned(&rows, Align::Right)
}

/// The same numbers.
pub(super) fn json(scores: &Scores) -> Value {
    let served = |served: Served| {
        json!({
            "served": served.all(), "right": served.right, "wrong": served.wrong,
            "precision": ratio(served.right, served.all()), "recall": ratio(served.right, scores.same),
        })
    };
    let step = |step: &Step| {
        json!({
            "threshold": f64::from(step.threshold) / 100.0,
            "embedding": served(step.embedding), "guarded": served(step.guarded),
        })
    };
    let vetoes = scores.vetoes.iter();
    let vetoes = vetoes.map(|it| json!({"guard": it.guard.word(), "same": it.same, "different": it.different}));
    json!({
        "pairs": {"same": scores.same, "different": scores.different, "bypassed": scores.bypassed},
        "thresholds": scores.steps.iter().map(step).collect::<Vec<_>>(),
        "vetoes": vetoes.collect::<Vec<_>>(),
    })
}

/// To four places; none of nothing.
fn ratio(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| (f64::from(part) / f64::from(whole) * 10_000.0).round() / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::super::score::count;
    use super::*;

    #[test]
    fn what_is_nothing_of_nothing_is_no_number() {
        let scores = count(&[]);
        let json = json(&scores);
        assert!(json["thresholds"][0]["embedding"]["precision"].is_null(), "{json:#}");
        assert!(
            text(&scores).contains("0.70            0      0      0          -       -"),
            "{}",
            text(&scores)
        );
        assert_eq!(ratio(2, 3), Some(0.6667));
    }
}
