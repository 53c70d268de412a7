use std::fs;

use super::*;
use crate::compile;

#[test]
fn every_example_loads_and_compiles() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/examples");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let loaded = load(&text).unwrap_or_else(|found| panic!("{}: {found:#?}", path.display()));
        for (policy, _) in &loaded.policies {
            assert_eq!(compile(policy).revision().0.len(), 12);
            names.push(policy.policy().metadata.name.clone().unwrap());
        }
    }
    names.sort();
    assert_eq!(names, ["agent", "chat", "faq", "observe", "support-bot"]);
}
