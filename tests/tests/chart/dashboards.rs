//! Dashboards are readable, complete and ask what Prometheus understands.

use std::collections::BTreeSet;
use std::fmt::Write;

use llmcache_tests::kit::{Dashboard, dashboards, queries};
use serde_json::Value;

use crate::{assert_none, promtool};

/// A panel's place on the grid, which is 24 wide.
#[derive(Clone, Copy, Debug)]
struct Place {
    x: u64,
    y: u64,
    w: u64,
    h: u64,
}

#[test]
fn there_are_five_with_a_stable_uid_each() {
    let names: Vec<_> = dashboards().unwrap().into_iter().map(|board| board.name).collect();
    assert_eq!(names, ["hit-rates", "operator", "routing", "safety", "savings"]);
    for Dashboard { name, json } in dashboards().unwrap() {
        assert_eq!(json["uid"], format!("llmcache-{name}"));
        assert!(json["uid"].as_str().unwrap().len() <= 40);
        assert!(json["id"].is_null(), "{name}: a number of one Grafana only");
        assert!(json["tags"].as_array().unwrap().contains(&"llmcache".into()));
        assert!(!json["description"].as_str().unwrap().is_empty());
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit() {
    let mut problems = Vec::new();
    for Dashboard { name, json } in dashboards().unwrap() {
        let mut seen = (BTreeSet::new(), BTreeSet::new());
        for panel in json["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap_or_default();
            let mut check = |holds: bool, what: &str| {
                if !holds {
                    problems.push(format!("{name}: {title:?} {what}"));
                }
            };
            check(seen.0.insert(panel["id"].as_u64()), "has an id twice");
            check(!title.is_empty() && seen.1.insert(title), "has no title of its own");
            let description = panel["description"].as_str().unwrap_or_default();
            check(description.ends_with('.'), "has no description");
            check(panel["fieldConfig"]["defaults"]["unit"].is_string(), "has no unit");
            check(is_variable(&panel["datasource"]), "names a data source");
            for target in panel["targets"].as_array().unwrap() {
                check(is_variable(&target["datasource"]), "names a data source in a target");
                check(target["legendFormat"] != "", "has a target without legend");
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn panels_lie_on_the_grid_and_on_nobody_else() {
    let mut problems = Vec::new();
    for Dashboard { name, json } in dashboards().unwrap() {
        let places: Vec<_> = json["panels"].as_array().unwrap().iter().map(place).collect();
        for (at, (title, a)) in places.iter().enumerate() {
            if a.w == 0 || a.h == 0 || a.x + a.w > 24 {
                problems.push(format!("{name}: {title} leaves the grid"));
            }
            let others = places[..at].iter().filter(|(_, b)| a.meets(b));
            problems.extend(others.map(|(other, _)| format!("{name}: {title} covers {other}")));
        }
    }
    assert_none(&problems);
}

#[test]
fn variables_are_declared_and_used() {
    for Dashboard { name, json } in dashboards().unwrap() {
        let list = json["templating"]["list"].as_array().unwrap();
        let declared: Vec<_> = list.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        let expected: &[_] = match name.as_str() {
            "operator" => &["datasource", "namespace"],
            _ => &["datasource", "namespace", "policy"],
        };
        assert_eq!(declared, expected, "{name}");
        for variable in &list[1..] {
            assert_eq!(variable["multi"], true, "{name}");
            assert_eq!(variable["includeAll"], true, "{name}");
        }
        let written: String = json["panels"].to_string();
        for variable in declared {
            assert!(
                written.contains(&format!("${variable}")),
                "{name}: ${variable} is not used"
            );
        }
    }
}

#[test]
fn every_query_filters_by_the_variables_and_is_understood() {
    let (mut problems, mut rules) = (Vec::new(), "groups:\n- name: dashboards\n  rules:\n".to_owned());
    for (at, query) in queries("5m").unwrap().iter().enumerate() {
        let place = format!("{}: {}", query.dashboard, query.panel);
        let of_sidecars = query.written.contains("llmcache_") && !query.written.contains("llmcache_operator_");
        if of_sidecars && !query.written.contains("namespace=~\"$namespace\"") {
            problems.push(format!("{place} leaves out $namespace"));
        }
        if query.dashboard != "operator" && !query.written.contains("policy=~\"$policy\"") {
            problems.push(format!("{place} leaves out $policy"));
        }
        if query.expr.contains('$') {
            problems.push(format!("{place} has a variable nobody replaces: {}", query.expr));
        }
        let expr = serde_json::to_string(&query.expr).unwrap();
        writeln!(rules, "  - {{record: 'query:{at}', expr: {expr}}}").unwrap();
    }
    assert_none(&problems);
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), rules).unwrap();
    promtool(&["check", "rules", file.path().to_str().unwrap()]);
}

#[test]
fn what_was_promised_is_there() {
    let all = queries("5m").unwrap();
    for (dashboard, panel) in [
        ("hit-rates", "Combined, by requests"),
        ("hit-rates", "Combined, by tokens"),
        ("hit-rates", "Hit rate by layer, by requests"),
        ("hit-rates", "Hit rate by layer, by tokens"),
        ("hit-rates", "P95 latency, with and without hits"),
        ("routing", "Model split"),
        ("savings", "Cost per 1 000 requests"),
        ("savings", "Saved per hour by layer, and net"),
        ("savings", "Saved, net"),
    ] {
        let is_there = all
            .iter()
            .any(|query| query.dashboard == dashboard && query.panel == panel);
        assert!(is_there, "{dashboard} lacks {panel:?}");
    }
}

fn is_variable(source: &Value) -> bool {
    source["type"] == "prometheus" && source["uid"] == "$datasource"
}

fn place(panel: &Value) -> (String, Place) {
    let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
    let place = Place {
        x: side("x"),
        y: side("y"),
        w: side("w"),
        h: side("h"),
    };
    (panel["title"].as_str().unwrap().to_owned(), place)
}

impl Place {
    fn meets(&self, other: &Self) -> bool {
        let apart_x = self.x + self.w <= other.x || other.x + other.w <= self.x;
        let apart_y = self.y + self.h <= other.y || other.y + other.h <= self.y;
        !apart_x && !apart_y
    }
}
