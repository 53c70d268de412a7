//! The manual says what the chart does: rights, and everything an install needs to be told.

use std::collections::BTreeSet;

use crate::{text, yaml};

#[test]
fn the_manual_names_every_right_of_the_operator() {
    let template = text("templates/operator/rbac.yaml") + &text("templates/operator/rbac-invalidation.yaml");
    let manual = text("README.md");
    let table = manual
        .split("## Rights")
        .nth(1)
        .expect("the manual has a chapter on rights");
    let table = table.split("\n## ").next().unwrap();
    let lists = template
        .lines()
        .filter_map(|line| line.trim().strip_prefix("resources: ["));
    let resources: BTreeSet<_> = lists.flat_map(|list| list.trim_end_matches(']').split(", ")).collect();
    assert!(resources.len() > 10);
    for resource in resources {
        assert!(
            table.contains(&format!("`{resource}`")),
            "the table of rights lacks {resource}"
        );
    }
    let wildcards = template
        .lines()
        .filter(|line| line.contains("verbs:") || line.contains("resources:"));
    assert!(
        wildcards.into_iter().all(|line| !line.contains('*')),
        "a wildcard in the operator's rights"
    );
}

#[test]
fn the_chart_has_the_version_of_the_programs() {
    let chart = yaml(&text("Chart.yaml"));
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field], env!("CARGO_PKG_VERSION"), "Chart.yaml {field}");
    }
}
