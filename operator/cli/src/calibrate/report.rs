//! The summary for people and for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::summary::{Class, Step, Summary};
use crate::table::{self, Align};

/// Lines and tables for people.
pub(super) fn text(summary: &Summary<'_>) -> String {
    let counts = summary.counts;
    let head = format!(
        "requests {} in {:.1} days: {} exact repeats, {} questions, {} bypassed{}\nneighbours vetoed by a guard: {}",
        summary.requests,
        summary.days,
        counts.repeats,
        counts.classes.iter().map(|class| class.questions).sum::<u32>(),
        counts.bypass.values().sum::<u32>(),
        listed(&counts.bypass, " (", ")"),
        if counts.vetoes.is_empty() {
            "none".into()
        } else {
            listed(&counts.vetoes, "", "")
        },
    );
    let classes = summary.classes.iter().map(|class| lines(summary, class));
    [head].into_iter().chain(classes).collect::<Vec<_>>().join("\n\n")
}

fn listed(counts: &BTreeMap<&'static str, u32>, before: &str, after: &str) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let listed: Vec<_> = counts.iter().map(|(word, count)| format!("{word} {count}")).collect();
    format!("{before}{}{after}", listed.join(", "))
}

fn lines(summary: &Summary<'_>, class: &Class) -> String {
    let Class {
        name, floor, questions, ..
    } = class;
    let mut lines = vec![
        format!(
            "class {name}: {questions} questions, would-be hits from {} on",
            decimal(*floor)
        ),
        table(class),
        labels(summary, class),
    ];
    if class.estimates > 0 {
        let of = class.estimates;
        lines.push(format!(
            "usd: {of} hits without usage in the log are counted by their prompt alone, bytes / 4"
        ));
    }
    if class.partial > 0 {
        lines.push(format!(
            "usd: {} hits are of a model, tier or kind of token without a price; give it with --prices",
            class.partial
        ));
    }
    lines.join("\n")
}

fn table(class: &Class) -> String {
    let mut rows = vec![
        [
            "threshold",
            "hits",
            "of questions",
            "usd",
            "agreed",
            "disagreed",
            "open",
        ]
        .map(String::from),
    ];
    rows.extend(class.steps.iter().map(|step| {
        [
            decimal(step.threshold),
            step.hits.to_string(),
            share(step, class).map_or_else(|| "-".into(), |share| format!("{:.1} %", share * 100.0)),
            step.usd.to_string(),
            step.agreed.to_string(),
            step.disagreed.to_string(),
            step.open().to_string(),
        ]
    }));
    table::aligned(&rows, Align::Right)
}

fn labels(summary: &Summary<'_>, class: &Class) -> String {
    let needed = format!(
        "labels: {} right ones and no wrong one open it at a budget of {} %",
        class.needed,
        f64::from(summary.budget) / 100.0
    );
    match (class.requests, class.days) {
        (None, _) => format!("{needed}; this log has no would-be hit to label"),
        (Some(requests), None) => format!("{needed}: about {requests:.0} requests like these"),
        (Some(requests), Some(days)) => {
            format!("{needed}: about {requests:.0} requests like these, {days:.1} days at their pace")
        }
    }
}

fn share(step: &Step, class: &Class) -> Option<f64> {
    (class.questions > 0).then(|| f64::from(step.hits) / f64::from(class.questions))
}

fn decimal(value: u16) -> String {
    format!("{}.{:04}", value / 10_000, value % 10_000)
}

/// The same numbers.
pub(super) fn json(summary: &Summary<'_>) -> Value {
    let counts = summary.counts;
    let class = |class: &Class| {
        json!({
            "class": class.name,
            "similarityThreshold": ten_thousandths(class.floor),
            "questions": class.questions,
            "thresholds": class.steps.iter().map(step).collect::<Vec<_>>(),
            "labels": {
                "needed": class.needed,
                "requests": class.requests.map(f64::round),
                "days": class.days.map(tenths),
            },
            "hitsWithoutUsage": class.estimates,
            "hitsWithoutPrice": class.partial,
        })
    };
    json!({
        "requests": summary.requests,
        "days": tenths(summary.days),
        "exactRepeats": counts.repeats,
        "bypass": counts.bypass,
        "vetoes": counts.vetoes,
        "maxFalseHitRate": ten_thousandths(summary.budget),
        "classes": summary.classes.iter().map(class).collect::<Vec<_>>(),
    })
}

fn step(step: &Step) -> Value {
    json!({
        "threshold": ten_thousandths(step.threshold), "hits": step.hits, "usd": step.usd,
        "agreed": step.agreed, "disagreed": step.disagreed, "open": step.open(),
    })
}

fn ten_thousandths(value: u16) -> f64 {
    f64::from(value) / 10_000.0
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
