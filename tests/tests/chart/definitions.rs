//! The definitions that the chart installs are those of `crds/`, byte for byte.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use llmcache_tests::kit::chart;

use crate::assert_generated;

#[test]
fn the_chart_installs_every_definition_as_it_was_generated() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    let wanted = names(&source);
    assert!(!wanted.is_empty(), "crds/ holds definitions");
    for name in &wanted {
        let definition = fs::read_to_string(source.join(name)).unwrap();
        // The template adds the annotation that keeps them; a second `annotations` would be lost.
        assert!(
            !definition.contains("\n  annotations:"),
            "{name} has annotations already"
        );
        assert_generated(chart("files/crds").join(name), &definition);
    }
    assert_eq!(names(&chart("files/crds")), wanted);
}

fn names(folder: &Path) -> BTreeSet<String> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let yaml = paths.filter(|path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml"));
    yaml.map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}
