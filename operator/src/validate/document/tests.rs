use std::fmt::Write;

use serde_json::json;

use super::*;

fn one(text: &str) -> Document {
    let mut documents = read(text).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

#[test]
fn values_lines_and_bare_words_are_kept() {
    let document = one("a: off\nb:\n  - x\n  - {c: \"off\", d: !!str on}\ne: |\n  text\n");
    let expected = json!({"a": false, "b": ["x", {"c": "off", "d": "on"}], "e": "text\n"});
    assert_eq!(document.value, expected);
    assert_eq!(document.marks.bare("a"), Some("off"));
    assert_eq!(document.marks.bare("b[1].c"), None);
    assert_eq!(document.marks.line("b[1].c"), Some(4));
    assert_eq!(document.marks.line("b[1].absent"), Some(4));
    assert_eq!(document.marks.line("nowhere"), None);
}

#[test]
fn json_with_tabs_and_surrogate_pairs_is_read_too() {
    assert_eq!(one(r#"{"a": "\ud83d\ude00\/"}"#).value, json!({"a": "😀/"}));
    assert_eq!(
        one("{\n\t\"a\":\t[1, true, null]\n}").value,
        json!({"a": [1, true, null]})
    );
}

#[test]
fn alias_repeats_its_anchor() {
    assert_eq!(one("a: &x [1]\nb: *x\n").value, json!({"a": [1], "b": [1]}));
}

#[test]
fn repeated_names_merge_keys_and_boolean_names_are_found() {
    let document = one("a: 1\na: 2\n<<: {b: 1}\nno: 3\n");
    let found: Vec<_> = document.found.iter().map(|p| (p.path.as_str(), p.line)).collect();
    assert_eq!(found, [("a", Some(2)), ("<<", Some(3)), ("no", Some(4))]);
}

#[test]
fn file_beyond_a_bound_is_refused_quickly() {
    let long = "a".repeat(MAX_BYTES + 1);
    let deep = "[".repeat(MAX_DEPTH + 2) + &"]".repeat(MAX_DEPTH + 2);
    let wide = format!("[{}]", "1,".repeat(MAX_NODES));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let of = level - 1;
        let items = vec![format!("*a{of}"); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{items}]").unwrap();
    }
    for (text, says) in [(long, "bytes"), (deep, "deeper"), (wide, "values"), (bomb, "values")] {
        let found = read(&text).unwrap_err();
        assert!(found[0].message.contains(says), "{:?}", found[0]);
    }
}

#[test]
fn block_as_a_name_is_refused() {
    assert!(read("? [a]\n: b\n").is_err());
}
