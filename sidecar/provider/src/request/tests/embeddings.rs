//! Embeddings: items, their keys, and requests for some of them.

use super::*;
use crate::splice;

fn forms(json: &str) -> Vec<String> {
    let request = embeddings(json);
    let form = |item: &Item| {
        let mut form = key(&request).into_bytes();
        request.write_item(item, &mut |bytes| form.extend_from_slice(bytes));
        String::from_utf8(form).unwrap()
    };
    request.items().iter().map(form).collect()
}

fn input(input: &str) -> String {
    format!(r#"{{"model":"m","input":{input}}}"#)
}

#[test]
fn items_are_texts_and_lists_of_tokens() {
    for (json, weights, estimates) in [
        (r#""four""#, vec![4], vec![1]),
        (r#""""#, vec![0], vec![0]),
        (r#"["four","fifteen letters"]"#, vec![4, 15], vec![1, 4]),
        ("[1, 20, 300]", vec![3], vec![3]),
        ("[[1, 20], [300]]", vec![2, 1], vec![2, 1]),
    ] {
        let items = embeddings(&input(json)).items();
        assert_eq!(
            items.iter().map(|item| item.weight).collect::<Vec<_>>(),
            weights,
            "{json}"
        );
        assert_eq!(
            items.iter().map(|item| item.estimate).collect::<Vec<_>>(),
            estimates,
            "{json}"
        );
    }
}

#[test]
fn item_has_one_key_however_it_is_asked_for() {
    let same = [
        forms(r#"{"model":"m","input":"one"}"#),
        forms(r#"{"input": ["one"], "user": "u", "model": "other"}"#),
    ];
    assert_eq!(same[0], same[1]);
    assert_eq!(forms(&input(r#"["one","two","one"]"#))[0], same[0][0]);
    assert_eq!(forms(&input("[1,2]")), forms(&input("[[1 , 2]]")));
}

#[test]
fn whatever_can_change_a_vector_changes_its_key() {
    let mut all: Vec<String> = [
        r#"{"model":"m","input":["one","two","[1]","1","on\u0065"]}"#,
        r#"{"model":"m","input":[[1],[1,2],[12],[1.0]]}"#,
        r#"{"model":"m","input":"one","dimensions":8}"#,
        r#"{"model":"m","input":"one","dimensions":8.0}"#,
        r#"{"model":"m","input":"one","encoding_format":"float"}"#,
        r#"{"model":"m","input":"one","encoding_format":"base64"}"#,
        r#"{"model":"m","input":"one","input_type":"query"}"#,
        r#"{"model":"m","input":"one","input_type":"passage"}"#,
    ]
    .into_iter()
    .flat_map(forms)
    .collect();
    let count = all.len();
    all.sort();
    for pair in all.windows(2) {
        assert!(!pair[1].starts_with(&pair[0]), "{pair:?}");
    }
    assert_eq!(count, 15);
}

#[test]
fn some_items_are_asked_for_with_the_rest_of_the_bytes_untouched() {
    for (json, kept, expected) in [
        (
            r#"{ "input" : [ "one" , "tw\u006f","one" ], "model":"m" }"#,
            vec![0, 1],
            r#"{ "input" : ["one","tw\u006f"], "model":"m" }"#,
        ),
        (
            r#"{"model":"m","input":[[1, 2],[3]],"x":1}"#,
            vec![0],
            r#"{"model":"m","input":[[1, 2]],"x":1}"#,
        ),
        (
            r#"{"model":"m","input":["a"]}"#,
            vec![0],
            r#"{"model":"m","input":["a"]}"#,
        ),
        (r#"{"model":"m","input":"a"}"#, vec![0], r#"{"model":"m","input":"a"}"#),
        (
            r#"{"model":"m","input":[7, 8]}"#,
            vec![0],
            r#"{"model":"m","input":[7, 8]}"#,
        ),
    ] {
        let request = embeddings(json);
        let items = request.items();
        let kept: Vec<Item> = kept.into_iter().map(|at: usize| items[at]).collect();
        let mut splices: Vec<_> = request.keep_items(&kept).into_iter().collect();
        assert_eq!(splices.is_empty(), expected == json, "{json}");
        assert_eq!(splice::apply(request.bytes(), &mut splices), expected, "{json}");
    }
}

#[test]
fn each_embeddings_gate_is_named() {
    let many = |count: usize| format!("[{}]", vec!["\"x\""; count].join(","));
    for (json, word) in [
        (input(&many(2_048)), "none"),
        (input(&many(2_049)), "too_many_items"),
        (input("[]"), "unknown_block"),
        (input("[[]]"), "unknown_block"),
        (input(r#"["a",1]"#), "unknown_block"),
        (input(r#"[1,"a"]"#), "unknown_block"),
        (input("[[1],[[2]]]"), "unknown_block"),
        (input(r#"["a",null]"#), "unknown_block"),
        (input(r#"[{"image":"x"}]"#), "unknown_block"),
        (input(r#"["\ud800"]"#), "lone_surrogate"),
        (input(r#""a","user":"u""#), "none"),
        (input(r#""a","metadata":{}"#), "unknown_field"),
        (input(r#""a","input_type":"query""#), "unknown_field"),
        (input(r#"[{"a":1,"a":2}]"#), "duplicate_member"),
    ] {
        let request = embeddings(&json);
        let found = request.no_key(Dialect::OpenAi, false).map_or("none", NoKey::word);
        assert_eq!(found, word, "{}", &json[..json.len().min(80)]);
    }
    let own = embeddings(&input(r#""a","input_type":"query""#));
    assert_eq!(own.no_key(Dialect::Compatible, false), None);
    for (fields, word) in [
        (r#"["a","b"],"truncate":true,"input_type":"query","n":1"#, "none"),
        (r#"["a","b"],"input_types":["query","passage"]"#, "unknown_field"),
        (r#"["a","b"],"own":{"a":1}"#, "unknown_field"),
        (r#"["a"],"input_types":["query"]"#, "none"),
        (r#"[7,8],"input_types":["query"]"#, "none"),
    ] {
        let request = embeddings(&input(fields));
        let found = request.no_key(Dialect::Compatible, false).map_or("none", NoKey::word);
        assert_eq!(found, word, "{fields}: a list may be read by the items' places");
    }
    for (json, opaque) in [
        (r#"{"model":"m"}"#.to_owned(), Opaque::WrongType("input")),
        (input("null"), Opaque::WrongType("input")),
        (input("7"), Opaque::WrongType("input")),
        (input(r#"{"text":"a"}"#), Opaque::WrongType("input")),
        (input(r#""a","input":"b""#), Opaque::Duplicate("input")),
    ] {
        let parsed = Request::parse(Endpoint::OpenAiEmbeddings, json.clone().into());
        assert_eq!(parsed.unwrap_err(), opaque, "{json}");
    }
}
