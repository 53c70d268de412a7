//! Which crate may know which, and what none may know.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{Metadata, MetadataCommand, Package, PackageId};

use super::house::{assert_none, files_ending, root, text};

/// What each crate may depend on, dev- and build-dependencies included; `None` = any of ours.
const DIRECTIONS: [(&str, Option<&[&str]>); 9] = [
    ("llmcache-cache", Some(&[])),
    (
        "llmcache-cli",
        Some(&["llmcache-crds", "llmcache-operator", "llmcache-sidecar"]),
    ),
    ("llmcache-crds", Some(&[])),
    ("llmcache-operator", Some(&["llmcache-crds", "llmcache-policy"])),
    ("llmcache-policy", Some(&[])),
    ("llmcache-provider", Some(&[])),
    ("llmcache-semantic", Some(&[])),
    (
        "llmcache-sidecar",
        Some(&[
            "llmcache-cache",
            "llmcache-policy",
            "llmcache-provider",
            "llmcache-semantic",
        ]),
    ),
    ("llmcache-tests", None),
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .exec()
        .expect("cargo metadata reads the workspace")
}

#[test]
fn crates_depend_in_the_agreed_directions_only() {
    let directions: BTreeMap<_, _> = DIRECTIONS.into_iter().collect();
    let mut problems = Vec::new();
    for package in metadata().workspace_packages() {
        let Some(allowed) = directions.get(package.name.as_str()) else {
            problems.push(format!("{} is no crate of the house", package.name));
            continue;
        };
        let ours = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_some());
        let strangers = ours.filter(|it| allowed.is_some_and(|allowed| !allowed.contains(&it.name.as_str())));
        problems.extend(strangers.map(|it| format!("{} must not depend on {}", package.name, it.name)));
    }
    assert_none("crate directions", &problems);
}

#[test]
fn the_sidecar_is_an_option_of_the_command_line_and_on_by_default() {
    let metadata = metadata();
    let cli = package(&metadata, "llmcache-cli");
    let sidecar = cli
        .dependencies
        .iter()
        .find(|it| it.name == "llmcache-sidecar")
        .expect("`local` runs the sidecar");
    assert!(
        sidecar.optional,
        "llmcache-sidecar must be optional, behind the feature `local`"
    );
    assert!(
        cli.features["local"].iter().any(|it| it.contains("llmcache-sidecar")),
        "`local` brings the sidecar"
    );
    assert_eq!(cli.features["default"], ["local"]);
}

#[test]
fn the_sidecar_never_sees_kubernetes() {
    let metadata = metadata();
    let seen = reachable(&metadata, &package(&metadata, "llmcache-sidecar").id);
    let kubernetes: Vec<String> = seen
        .into_iter()
        .filter(|name| name.starts_with("kube") || name.starts_with("k8s"))
        .collect();
    assert_none("llmcache-sidecar builds with", &kubernetes);
}

#[test]
fn every_crate_inherits_the_lints_and_the_version() {
    let mut problems = Vec::new();
    for manifest in files_ending("Cargo.toml")
        .into_iter()
        .filter(|name| name != "Cargo.toml")
    {
        let text = text(&manifest);
        for wanted in [
            "[lints]\nworkspace = true",
            "version.workspace = true",
            "edition.workspace = true",
            "publish.workspace = true",
        ] {
            if !text.contains(wanted) {
                problems.push(format!("{manifest} lacks {wanted:?}"));
            }
        }
    }
    assert_none("manifests", &problems);
    assert!(text("Cargo.toml").contains("unsafe_code = \"forbid\""));
}

fn package<'a>(metadata: &'a Metadata, name: &str) -> &'a Package {
    metadata
        .packages
        .iter()
        .find(|package| package.name == name)
        .unwrap_or_else(|| panic!("{name} is missing"))
}

/// Names of all crates that building this one needs; what only its tests need is left out.
fn reachable(metadata: &Metadata, from: &PackageId) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("cargo resolved the graph");
    let (mut open, mut seen) = (vec![from], BTreeSet::new());
    while let Some(id) = open.pop() {
        let needs_to_build = |kinds: &[cargo_metadata::DepKindInfo]| {
            kinds
                .iter()
                .any(|kind| kind.kind != cargo_metadata::DependencyKind::Development)
        };
        for dependency in resolve[id].deps.iter().filter(|it| needs_to_build(&it.dep_kinds)) {
            if seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    seen.into_iter().map(|id| metadata[id].name.to_string()).collect()
}
