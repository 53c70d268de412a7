//! The answer of `status` for people.

use llmcache_crds::status::condition;

use super::policies::Row;
use super::report::{Named, Report, Sidecars, Traffic};
use super::tally::LAYERS;
use crate::table::{Align, aligned};

/// Reasons that are shown; `-o json` has all.
const SHOWN: usize = 5;

/// All of it.
pub(super) fn lines(report: &Report) -> String {
    let mut parts = vec![policies(report), sidecars(&report.sidecars)];
    if report.sidecars.injected > 0 {
        parts.push(traffic(&report.traffic));
    }
    let notes = report.notes.iter().map(|note| format!("note: {note}"));
    parts.extend((!report.notes.is_empty()).then(|| notes.collect::<Vec<_>>().join("\n")));
    parts.join("\n\n")
}

fn policies(report: &Report) -> String {
    let place = report.namespace.as_ref().map_or_else(
        || "in any namespace".to_owned(),
        |namespace| format!("in namespace {namespace}"),
    );
    if report.policies.is_empty() {
        return format!("no policies {place}");
    }
    let is_wide = report.namespace.is_none();
    let header = [
        "NAME",
        "MODE",
        "ACCEPTED",
        "PROGRAMMED",
        "HEALTHY",
        "SIDECARS",
        "REVISION",
        "AGE",
    ];
    let mut rows = vec![row(is_wide.then_some("NAMESPACE"), header.map(String::from))];
    for policy in &report.policies {
        let cells = [
            policy.name.clone(),
            format!("{:?}", policy.mode),
            policy.word(condition::ACCEPTED).into(),
            policy.word(condition::PROGRAMMED).into(),
            policy.word(condition::HEALTHY).into(),
            match policy.sidecars.summary.as_str() {
                "" => "-".into(),
                summary => summary.into(),
            },
            policy.revision.clone().unwrap_or_else(|| "-".into()),
            policy.age.clone(),
        ];
        rows.push(row(is_wide.then_some(policy.namespace.as_str()), cells));
    }
    let mut lines = vec![aligned(&rows, Align::Left)];
    lines.extend(report.policies.iter().flat_map(Row::lines));
    lines.join("\n")
}

fn row(namespace: Option<&str>, cells: [String; 8]) -> Vec<String> {
    namespace.map(str::to_owned).into_iter().chain(cells).collect()
}

fn sidecars(sidecars: &Sidecars) -> String {
    let counts = &sidecars.counts;
    let mut lines = vec![format!(
        "sidecars: {} serving, {} pending, {} stale, {} rejected, {} outdated; {} pods injected, {} without the sidecar they \
         ask for",
        counts.serving,
        counts.pending,
        counts.stale,
        counts.rejected,
        counts.outdated,
        sidecars.injected,
        sidecars.missing.len()
    )];
    lines.extend(first(&sidecars.broken));
    for missing in sidecars.missing.iter().take(SHOWN) {
        lines.push(format!("  {}: {}", missing.pod, missing.injection.message));
        lines.extend(missing.injection.fix.iter().map(|fix| format!("    fix: {fix}")));
    }
    lines.extend(more(sidecars.missing.len()));
    lines.join("\n")
}

fn traffic(traffic: &Traffic) -> String {
    let mut lines = Vec::new();
    if traffic.answered > 0 {
        lines.extend([rates(traffic), dollars(traffic)]);
    }
    lines.push(format!("unreachable: {}", traffic.unreachable.len()));
    lines.extend(first(&traffic.unreachable));
    lines.join("\n")
}

fn rates(traffic: &Traffic) -> String {
    let tally = &traffic.tally;
    let mut rows = vec![["hit rate", "requests", "by requests", "by tokens"].map(String::from)];
    for layer in LAYERS {
        let share = tally.by_requests(layer);
        rows.push([
            layer.replace('_', " "),
            share.part.to_string(),
            share.to_string(),
            tally.by_tokens(layer).to_string(),
        ]);
    }
    let combined = tally.combined_by_requests();
    rows.push([
        "combined".into(),
        combined.part.to_string(),
        combined.to_string(),
        tally.combined_by_tokens().to_string(),
    ]);
    format!(
        "{} requests in {} sidecars since each started, {} of them bypassed; {} more were not understood and streamed \
         through\n{}\n",
        tally.requests,
        traffic.answered,
        tally.bypass,
        tally.opaque,
        aligned(&rows, Align::Right)
    )
}

fn dollars(traffic: &Traffic) -> String {
    let tally = &traffic.tally;
    let net = tally.gross() - tally.costs();
    let row = |name: &str, usd: crate::usd::Usd| [name.to_owned(), usd.to_string()];
    let mut rows = vec![
        ["dollars", "$"].map(String::from),
        row("without llmcache", tally.actual + net),
    ];
    rows.extend(
        tally
            .saved
            .iter()
            .map(|(layer, usd)| row(&format!("saved by {}", layer.replace('_', " ")), *usd)),
    );
    let overhead = tally.overhead.iter().filter(|(_, usd)| usd.0 != 0);
    rows.extend(overhead.map(|((layer, kind), usd)| {
        row(
            &format!("{} of {}", kind.replace('_', " "), layer.replace('_', " ")),
            crate::usd::Usd(-usd.0),
        )
    }));
    rows.extend([row("saved net", net), row("paid", tally.actual)]);
    aligned(&rows, Align::Right) + "\n"
}

/// The first reasons, and how many more there are.
fn first(named: &[Named]) -> Vec<String> {
    let shown = named.iter().take(SHOWN);
    let lines = shown.map(|Named { pod, reason }| format!("  {pod}: {reason}"));
    lines.chain(more(named.len())).collect()
}

fn more(all: usize) -> Option<String> {
    (all > SHOWN).then(|| format!("  and {} more; -o json has all", all - SHOWN))
}
