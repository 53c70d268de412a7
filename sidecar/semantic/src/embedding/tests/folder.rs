use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::super::{Model, ModelError, files};
use super::model_folder;

fn refusal(folder: &Path) -> ModelError {
    Model::open(folder).err().expect("the folder is refused")
}

#[test]
fn a_missing_folder_is_refused_by_the_name_of_a_file_and_what_makes_it() {
    let error = refusal(Path::new("/no/such/folder"));
    assert!(matches!(error, ModelError::Missing(_)), "{error}");
    let said = error.to_string();
    assert!(said.starts_with("/no/such/folder/tokenizer.json is missing"), "{said}");
    assert!(said.contains("tests/setup/model.sh"), "{said}");
}

#[test]
fn a_file_in_the_folders_place_is_refused_as_missing() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(refusal(file.path()), ModelError::Missing(_)));
}

#[test]
fn a_file_with_other_bytes_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    let error = refusal(folder.path());
    assert!(
        matches!(&error, ModelError::Changed(file) if file.ends_with("tokenizer.json")),
        "{error}"
    );
}

#[test]
fn a_folder_where_a_file_should_be_is_refused_as_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tokenizer.json")).unwrap();
    let error = refusal(folder.path());
    assert!(matches!(error, ModelError::Unreadable { .. }), "{error}");
}

#[test]
fn every_file_is_pinned_and_no_other_name_is() {
    for name in [
        files::MODEL,
        files::RUNTIME,
        "config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        assert_eq!(files::known_sum(name).len(), 64, "{name}");
    }
    assert_eq!(files::known_sum("other"), "");
    assert_eq!(files::known_sum(""), "");
}

#[test]
fn one_byte_more_in_any_file_is_refused_before_the_runtime_loads() {
    let Some(real) = model_folder() else { return };
    for name in [files::MODEL, files::RUNTIME, "config.json", "tokenizer_config.json"] {
        let folder = tempfile::tempdir().unwrap();
        for file in fs::read_dir(&real).unwrap().map(Result::unwrap) {
            symlink(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        let spoiled = folder.path().join(name);
        fs::remove_file(&spoiled).unwrap();
        fs::copy(real.join(name), &spoiled).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(&spoiled).unwrap();
        file.write_all(b" ").unwrap();
        let error = refusal(folder.path());
        assert!(
            matches!(&error, ModelError::Changed(file) if *file == spoiled),
            "{error}"
        );
    }
}
