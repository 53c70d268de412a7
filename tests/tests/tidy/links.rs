//! Links between the pages of the project lead somewhere.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::house::{assert_none, files, files_ending, text};

#[test]
fn links_of_every_page_lead_to_a_file_and_its_heading() {
    let all: BTreeSet<String> = files().into_iter().collect();
    let mut problems = Vec::new();
    for page in files_ending(".md") {
        for link in links(&text(&page)) {
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                page.clone()
            } else {
                beside(&page, path)
            };
            let folder = format!("{target}/");
            if !all.contains(&target) && !all.iter().any(|name| name.starts_with(&folder)) {
                problems.push(format!("{page}: {link} leads nowhere"));
            } else if !heading.is_empty() && !headings(&text(&target)).contains(heading) {
                problems.push(format!("{page}: {link} has no such heading"));
            }
        }
    }
    assert_none("links", &problems);
}

#[test]
fn a_broken_link_would_be_seen() {
    assert_eq!(
        links("a [b](c.md#d) `x](y)` [e](https://f) ![g](h.png)\n```\n[i](j)\n```"),
        ["c.md#d", "h.png"]
    );
    assert_eq!(beside("sidecar/README.md", "../crds/README.md"), "crds/README.md");
    assert!(headings("# A b\n## `C`, d").contains("c-d"));
}

/// Targets of inline links inside the project, code blocks left out.
fn links(page: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            // Every second piece between back-ticks is code.
            let prose: String = line.split('`').step_by(2).collect();
            let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            found.extend(targets.filter(|target| !target.contains("://")).map(str::to_owned));
        }
    }
    found
}

/// A path written on a page, from the root.
fn beside(page: &str, path: &str) -> String {
    let mut target = PathBuf::new();
    let folder = Path::new(page).parent().unwrap_or_else(|| Path::new(""));
    for component in folder.join(path).components() {
        match component {
            Component::ParentDir => drop(target.pop()),
            Component::CurDir => {}
            other => target.push(other),
        }
    }
    target.to_string_lossy().into_owned()
}

/// Headings of a page as anchors.
fn headings(page: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| -> String {
        let kept = heading
            .trim()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| {
            if letter == ' ' {
                '-'
            } else {
                letter.to_ascii_lowercase()
            }
        })
        .collect()
    };
    page.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}
