pub(crate) mod tree;

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;
use tree::{Dice, Tree, any_tree};

fn parse(json: &str) -> Document {
    Document::parse(json.to_owned().into()).unwrap()
}

fn canonical(json: &str) -> String {
    let document = parse(json);
    let mut written = Vec::new();
    write(&document, document.root(), All, Order::Sorted, &mut |bytes| {
        written.extend_from_slice(bytes);
    });
    String::from_utf8(written).unwrap()
}

proptest! {
    #[test]
    fn what_is_spelled_is_read(tree in any_tree(), seed: u64) {
        prop_assert_eq!(&Tree::parse(&tree.plain()), &tree);
        let document = parse(&tree.spelled(seed));
        prop_assert!(!document.has_duplicate_member());
        prop_assert!(!document.has_lone_surrogate());
    }

    #[test]
    fn broken_bytes_are_judged_as_serde_json_does(tree in any_tree(), seed: u64) {
        let mut bytes = tree.spelled(seed).into_bytes();
        let mut dice = Dice::new(seed);
        for _ in 0..=dice.roll() % 3 {
            let at = usize::try_from(dice.roll()).unwrap() % bytes.len();
            match dice.roll() % 3 {
                0 => drop(bytes.remove(at)),
                1 => bytes.truncate(at),
                _ => bytes[at] = b"{}[]\",:\\0.eE+-tu \x01\xc3"[usize::try_from(dice.roll() % 19).unwrap()],
            }
            if bytes.is_empty() {
                break;
            }
        }
        let theirs = std::str::from_utf8(&bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        prop_assert_eq!(Document::parse(bytes.clone().into()).is_ok(), theirs, "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn strings_decode_as_serde_json_does(text in "\\PC{0,30}", escapes in "(\\\\u[0-9a-cefA-CEF][0-9a-fA-F]{3}|\\\\[nrtbf/]){0,6}") {
        let json = format!("{}{escapes}\"", Tree::text(&text).plain().trim_end_matches('"'));
        let theirs: Result<String, _> = serde_json::from_str(&json);
        if let (Ok(theirs), Ok(document)) = (theirs, Document::parse(json.into())) {
            let ours = document.text(document.root()).unwrap();
            prop_assert_eq!(&ours, &theirs);
            prop_assert!(document.is_text(document.root(), &theirs));
        }
    }

    #[test]
    fn quoted_text_reads_back(text: String) {
        let document = Document::parse(quote(&text).into()).unwrap();
        prop_assert_eq!(document.text(document.root()).unwrap(), text);
    }

    #[test]
    fn order_and_white_space_do_not_change_the_canonical_form(tree in any_tree(), seed: u64, other: u64) {
        prop_assert_eq!(canonical(&tree.spelled(seed)), canonical(&tree.spelled(other)));
    }

    #[test]
    fn the_canonical_form_loses_nothing(tree in any_tree(), seed: u64) {
        // The generated members are in order of name already.
        prop_assert_eq!(Tree::parse(&canonical(&tree.spelled(seed))), tree);
    }
}

#[test]
fn numbers_and_strings_stay_as_written() {
    let json = r#"{"d":1.0,"a":1,"c":1e400,"b":"\u0061","e":[-0,0.10]}"#;
    assert_eq!(
        canonical(json),
        r#"{"a":1,"b":"\u0061","c":1e400,"d":1.0,"e":[-0,0.10]}"#
    );
}

#[test]
fn a_name_has_one_spelling() {
    assert_eq!(
        canonical(r#"{"\u0061":1,"\/":2,"\n":3}"#),
        r#"{"\u000a":3,"/":2,"a":1}"#
    );
    assert_eq!(parse(r#"{"\u0061":1}"#).member(NodeId(0), "a"), Some(NodeId(2)));
}

#[test]
fn a_repeated_name_is_seen_at_any_depth_and_in_any_spelling() {
    let many: Vec<_> = (0..40).map(|index| format!("\"m{index}\":0")).collect();
    let many = many.join(",");
    for (json, repeats) in [
        (r#"{"a":1,"b":2}"#.to_owned(), false),
        (r#"{"a":1,"a":1}"#.to_owned(), true),
        (r#"[{"x":{"a":1,"\u0061":2}}]"#.to_owned(), true),
        (r#"{"a":{"a":{"a":1}}}"#.to_owned(), false),
        (format!("{{{many}}}"), false),
        (format!("{{{many},\"\\u006d7\":1}}"), true),
    ] {
        assert_eq!(parse(&json).has_duplicate_member(), repeats, "{json}");
    }
}

#[test]
fn half_a_surrogate_pair_is_seen() {
    for (json, is_lone) in [
        (r#""\ud83d\ude00""#, false),
        (r#""\ud83d""#, true),
        (r#""\ude00""#, true),
        (r#""\ud83dx\ude00""#, true),
        (r#"{"\uDC00":1}"#, true),
        (r#""\\ud83d""#, false),
    ] {
        assert_eq!(parse(json).has_lone_surrogate(), is_lone, "{json}");
    }
    assert_eq!(parse(r#""\ud83d\ud83d\ude00""#).text(NodeId(0)).unwrap(), "\u{fffd}😀");
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| Document::parse(("[".repeat(depth) + &"]".repeat(depth)).into());
    assert!(nested(MAX_DEPTH).is_ok());
    assert_eq!(nested(MAX_DEPTH + 1).unwrap_err(), Error::TooDeep);
    let wide = |values: usize| Document::parse(format!("[{}0]", "0,".repeat(values - 1)).into());
    assert!(wide(MAX_NODES - 1).is_ok());
    assert_eq!(wide(MAX_NODES).unwrap_err(), Error::TooLarge);
}

#[test]
fn control_characters_are_refused_in_strings_and_between_values() {
    for byte in 0..=0x7f_u8 {
        let refuses =
            |prefix: &[u8], suffix: &[u8]| Document::parse([prefix, &[byte], suffix].concat().into()).is_err();
        // Long enough that the byte stands among many, as the search sees it.
        let is_control = byte < 0x20;
        assert_eq!(
            refuses(&[b"\"", b"x".repeat(70).as_slice()].concat(), b"yyy\""),
            is_control || b"\"\\".contains(&byte)
        );
        let is_space = b" \t\n\r".contains(&byte);
        assert_eq!(refuses(b"[1", b",2]"), !(is_space || byte.is_ascii_digit()), "{byte}");
    }
}

#[test]
fn the_offence_is_located() {
    assert_eq!(
        Document::parse(Bytes::from_static(b"{\"a\":}")).unwrap_err(),
        Error::Syntax(5)
    );
    assert_eq!(
        Document::parse(Bytes::from_static(b"\"a\xff\"")).unwrap_err(),
        Error::Utf8(2)
    );
    assert_eq!(
        Document::parse(Bytes::from_static(b"\xef\xbb\xbf{}")).unwrap_err(),
        Error::Syntax(0)
    );
}

#[test]
fn a_large_body_keeps_every_span() {
    let text = "lorem \\n ipsum ".repeat(70_000);
    let json = format!(
        r#"{{"text":"{text}","list":[{}{{"last":true}}]}}"#,
        "[1,2],".repeat(10_000)
    );
    let document = parse(&json);
    let list = document.member(document.root(), "list").unwrap();
    assert_eq!(document.elements(list).count(), 10_001);
    let end = document.elements(list).last().unwrap();
    assert_eq!(document.raw(end), br#"{"last":true}"#);
    assert_eq!(&json[document.span(end)], r#"{"last":true}"#);
    assert_eq!(document.raw(document.root()), json.as_bytes());
}
