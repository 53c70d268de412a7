//! Dashboards and alerts ask only for families and labels that the manual lists, and the manual lists what the programs
//! register.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use llmcache_tests::kit::queries;

use crate::{assert_none, promtool, text, yaml};

/// Labels that scraping adds, and the one of histograms.
const ADDED: [&str; 3] = ["namespace", "pod", "le"];
/// What a histogram's name may end in.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

#[test]
fn dashboards_and_alerts_ask_for_what_exists() {
    let families = families();
    let alerts = yaml(&text("prometheus/alerts.yaml"));
    let alerts = alerts["groups"][0]["rules"].as_array().unwrap().iter();
    let alerts = alerts.map(|rule| ("alerts".to_owned(), rule["expr"].as_str().unwrap().to_owned()));
    let queries = queries("5m").unwrap().into_iter();
    let mut problems = Vec::new();
    for (place, expr) in queries.map(|query| (query.dashboard, query.expr)).chain(alerts) {
        for (name, matched) in selectors(&expr) {
            let family = PARTS.iter().find_map(|part| name.strip_suffix(part));
            let family = family.filter(|family| families.contains_key(*family)).unwrap_or(&name);
            let Some(labels) = families.get(family) else {
                problems.push(format!("{place}: {name} is not in the manual"));
                continue;
            };
            let unknown = matched
                .iter()
                .filter(|label| !labels.contains(*label) && !ADDED.contains(&label.as_str()));
            problems.extend(unknown.map(|label| format!("{place}: {name} has no label {label}")));
        }
        let known: BTreeSet<_> = families.values().flatten().map(String::as_str).chain(ADDED).collect();
        let unknown = grouped(&expr)
            .into_iter()
            .filter(|label| !known.contains(label.as_str()));
        problems.extend(unknown.map(|label| format!("{place}: grouped by {label}, which nothing has")));
    }
    assert_none(&problems);
}

#[test]
fn the_manual_lists_every_counter_that_the_programs_have() {
    let listed = families();
    let counters = ["sidecar/src", "operator/src"].map(words);
    let counters = counters.into_iter().flatten().filter(|word| word.ends_with("_total"));
    let is_listed = |name: &str| {
        let listed = |prefix: &str| listed.contains_key(&format!("{prefix}{name}"));
        listed("") || listed("llmcache_") || listed("llmcache_operator_")
    };
    let missing = counters.filter(|name| !is_listed(name));
    assert_none(
        &missing
            .map(|name| format!("{name} is not in the manual"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn the_programs_have_every_family_of_the_manual() {
    let (sidecar, operator) = (words("sidecar/src"), words("operator/src"));
    let is_there = |name: &str| {
        let of_operator = name
            .strip_prefix("llmcache_operator_")
            .map(|short| operator.contains(short));
        let of_sidecar = name
            .strip_prefix("llmcache_")
            .is_some_and(|short| sidecar.contains(short));
        operator.contains(name) || of_operator.unwrap_or(of_sidecar)
    };
    let missing = families().into_keys().filter(|name| !is_there(name));
    assert_none(
        &missing
            .map(|name| format!("{name} is registered nowhere"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn scrape_jobs_are_understood() {
    // Debian's promtool knows no Kubernetes; the rest of each job is the same.
    let jobs = text("prometheus/scrape.yaml").replace("kubernetes_sd_configs: [{role: pod}]", "static_configs: []");
    assert!(jobs.contains("static_configs"));
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    fs::write(file.path(), jobs).unwrap();
    promtool(&["check", "config", file.path().to_str().unwrap()]);
}

#[test]
fn selectors_and_groups_are_found() {
    let expr = "sum by (layer) (rate(llmcache_a_total{x=\"1\", y=~\"z,{b}\"}[5m])) / on () llmcache_b";
    let found: Vec<_> = selectors(expr);
    assert_eq!(found[0], ("llmcache_a_total".into(), vec!["x".into(), "y".into()]));
    assert_eq!(found[1], ("llmcache_b".into(), Vec::<String>::new()));
    assert_eq!(grouped(expr), ["layer"]);
}

/// Families and their labels, from the manual's table.
fn families() -> BTreeMap<String, Vec<String>> {
    let manual = text("README.md");
    let rows = manual.lines().filter_map(|line| line.strip_prefix("| `llmcache_"));
    let families: BTreeMap<_, _> = rows
        .map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next().unwrap().trim_end_matches('`');
            let labels = cells.next().unwrap().split('`').skip(1).step_by(2);
            (format!("llmcache_{name}"), labels.map(str::to_owned).collect())
        })
        .collect();
    assert!(!families.is_empty(), "the manual has a table of metrics");
    families
}

/// Literals of one word in the sources below `folder`, tests left out.
fn words(folder: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)) {
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap();
        let is_name =
            |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let literals = code.split('"').skip(1).step_by(2);
        // `format!("{PREFIX}_name")` is one too.
        let names = literals.map(|word| word.strip_prefix("{PREFIX}").unwrap_or(word).trim_start_matches('_'));
        words.extend(names.filter(is_name).map(str::to_owned));
    }
    words
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// Metric names of an expression, each with the labels its selector names.
fn selectors(expr: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(at) = rest.find("llmcache_") {
        rest = &rest[at..];
        let end = rest.find(|letter: char| !is_word(letter)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let labels = after.strip_prefix('{').map_or(Vec::new(), matched);
        found.push((name.to_owned(), labels));
        rest = after;
    }
    found
}

/// Labels of a selector whose brace is open.
fn matched(selector: &str) -> Vec<String> {
    // Every second piece between quotes is outside of them.
    let outside = selector.split('"').step_by(2);
    let mut labels = Vec::new();
    for piece in outside {
        let (piece, is_last) = piece.split_once('}').map_or((piece, false), |(piece, _)| (piece, true));
        let label = piece.trim_matches(|letter: char| !is_word(letter));
        if !label.is_empty() {
            labels.push(label.to_owned());
        }
        if is_last {
            break;
        }
    }
    labels
}

/// Labels of `by (…)` and `on (…)`.
fn grouped(expr: &str) -> Vec<String> {
    let mut labels = Vec::new();
    for word in ["by (", "on ("] {
        for piece in expr.split(word).skip(1) {
            let list = piece.split(')').next().unwrap();
            labels.extend(
                list.split(',')
                    .map(|label| label.trim().to_owned())
                    .filter(|label| !label.is_empty()),
            );
        }
    }
    labels
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}
