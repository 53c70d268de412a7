//! Each splice changes its own range and what it says, and no splice changes nothing.

use proptest::prelude::*;

use super::bodies::{RECORDED, any_chat, any_messages, object};
use super::*;
use crate::json::tests::tree::Tree;
use crate::prompt::{Level, Site, Ttl};
use crate::splice::{Splice, apply};

/// Applies one splice; the rest of the body must be the client's bytes.
fn edit(request: &Request, splice: &Splice) -> Tree {
    let body = request.bytes().clone();
    let edited = apply(&body, &mut [splice.clone()]);
    let tail = body.len() - splice.range.end;
    assert_eq!(edited[..splice.range.start], body[..splice.range.start]);
    assert_eq!(edited[edited.len() - tail..], body[splice.range.end..]);
    assert_eq!(edited.len() - tail - splice.range.start, splice.with.len());
    Tree::parse(std::str::from_utf8(&edited).unwrap())
}

fn tree(request: &Request) -> Tree {
    Tree::of(&request.document, request.document.root())
}

fn mark(ttl: Ttl) -> Tree {
    Tree::parse(match ttl {
        Ttl::FiveMinutes => r#"{"type":"ephemeral"}"#,
        Ttl::OneHour => r#"{"type":"ephemeral","ttl":"1h"}"#,
    })
}

/// What a mark must have done to a block or a string, worked out on the tree.
fn marked(raw: &Tree, ttl: Ttl) -> Tree {
    if let Tree::Scalar(_) = raw {
        let text = [
            ("type", Tree::text("text")),
            ("text", raw.clone()),
            ("cache_control", mark(ttl)),
        ];
        return Tree::Array(vec![object(text)]);
    }
    let mut block = raw.clone();
    block.set("cache_control", mark(ttl));
    block
}

/// Replaces the value whose span is `at` by `with`, while walking document and tree together.
fn replaced(request: &Request, node: NodeId, at: NodeId, with: &Tree) -> Tree {
    let document = &request.document;
    if node == at {
        return with.clone();
    }
    match Tree::of(document, node) {
        Tree::Scalar(scalar) => Tree::Scalar(scalar),
        Tree::Array(_) => Tree::Array(
            document
                .elements(node)
                .map(|node| replaced(request, node, at, with))
                .collect(),
        ),
        Tree::Object(members) => {
            let values = document
                .members(node)
                .map(|(_, value)| replaced(request, value, at, with));
            Tree::Object(members.into_iter().map(|(name, _)| name).zip(values).collect())
        }
    }
}

fn sites(request: &Request) -> Vec<(Site, NodeId)> {
    let place = |site| match site {
        Site::Block(node) | Site::String(node) => Some((site, node)),
        Site::None => None,
    };
    request
        .prompt()
        .blocks
        .iter()
        .filter_map(|block| place(block.site))
        .collect()
}

proptest! {
    #[test]
    fn no_splice_sends_the_clients_bytes(body in any_messages(), seed: u64) {
        let json = body.spelled(seed);
        let request = messages(&json);
        let sent = apply(request.bytes(), &mut []);
        prop_assert_eq!(sent.as_ref(), json.as_bytes());
    }

    #[test]
    fn the_model_alone_changes(body in any_messages(), seed: u64, model in "\\PC{1,20}") {
        let request = messages(&body.spelled(seed));
        let mut expected = tree(&request);
        expected.set("model", Tree::text(&model));
        prop_assert_eq!(edit(&request, &request.set_model(&model)), expected);
    }

    #[test]
    fn every_offered_site_takes_a_mark(body in any_messages(), seed: u64, is_long: bool) {
        let request = messages(&body.spelled(seed));
        let ttl = if is_long { Ttl::OneHour } else { Ttl::FiveMinutes };
        for (site, node) in sites(&request) {
            let raw = Tree::of(&request.document, node);
            let with = marked(&raw, ttl);
            let expected = replaced(&request, request.document.root(), node, &with);
            let edited = edit(&request, &request.set_mark(site, ttl));
            prop_assert_eq!(&edited, &expected);
            let again = messages(&edited.plain());
            prop_assert_eq!(again.prompt().text, messages(&tree(&request).plain()).prompt().text);
        }
    }

    #[test]
    fn the_top_level_mark_is_added_once(body in any_messages(), seed: u64) {
        let request = messages(&body.spelled(seed));
        let has_one = request.prompt().top_level_mark.is_some();
        let splice = request.set_top_level_mark(Ttl::OneHour);
        prop_assert_eq!(splice.is_none(), has_one);
        if let Some(splice) = splice {
            let mut expected = tree(&request);
            expected.set("cache_control", mark(Ttl::OneHour));
            prop_assert_eq!(edit(&request, &splice), expected);
        }
    }

    #[test]
    fn usage_is_asked_for_once(body in any_chat(), seed: u64) {
        let request = chat(&body.spelled(seed));
        let splice = request.include_usage();
        prop_assert_eq!(splice.is_some(), request.wants_stream() && !request.wants_usage());
        if let Some(splice) = splice {
            let mut expected = tree(&request);
            let options = Tree::parse(r#"{"include_usage":true}"#);
            match &mut expected {
                Tree::Object(members) => match members.iter_mut().find(|(name, _)| name == "stream_options") {
                    Some((_, known @ Tree::Object(_))) => known.set("include_usage", Tree::Scalar("true".into())),
                    _ => expected.set("stream_options", options),
                },
                _ => unreachable!(),
            }
            let edited = edit(&request, &splice);
            prop_assert_eq!(&edited, &expected);
            prop_assert!(chat(&edited.plain()).wants_usage());
        }
    }

    #[test]
    fn a_prompt_cache_key_is_the_clients_if_it_has_one(body in any_chat(), seed: u64, cache_key in "\\PC{1,20}") {
        let request = chat(&body.spelled(seed));
        let has_one = matches!(&body, Tree::Object(members) if members.iter().any(|(name, _)| name == "prompt_cache_key"));
        let splice = request.set_prompt_cache_key(&cache_key);
        prop_assert_eq!(splice.is_none(), has_one);
        if let Some(splice) = splice {
            let mut expected = tree(&request);
            expected.set("prompt_cache_key", Tree::text(&cache_key));
            prop_assert_eq!(edit(&request, &splice), expected);
        }
    }
}

#[test]
fn all_splices_apply_at_once() {
    let request = chat(r#"{"model":"gpt-6-sol","messages":[],"stream":true}"#);
    let mut splices = vec![
        request.include_usage().unwrap(),
        request.set_prompt_cache_key("k").unwrap(),
        request.set_model("gpt-6-luna"),
    ];
    let expected = r#"{"model":"gpt-6-luna","messages":[],"stream":true,"stream_options":{"include_usage":true},"prompt_cache_key":"k"}"#;
    assert_eq!(apply(request.bytes(), &mut splices), expected);
}

#[test]
fn an_image_takes_a_mark_and_thinking_does_not() {
    let (endpoint, json) = RECORDED[2];
    let request = read(endpoint, json);
    let offered: Vec<_> = request
        .prompt()
        .blocks
        .iter()
        .map(|block| block.site != Site::None)
        .collect();
    assert_eq!(offered, [true, true, false, true, true]);
    let mut splices: Vec<_> = sites(&request)
        .into_iter()
        .map(|(site, _)| request.set_mark(site, Ttl::FiveMinutes))
        .collect();
    let edited = apply(request.bytes(), &mut splices);
    assert_eq!(
        std::str::from_utf8(&edited)
            .unwrap()
            .matches(r#""cache_control":{"type":"ephemeral"}"#)
            .count(),
        4
    );
    assert_eq!(messages(std::str::from_utf8(&edited).unwrap()).prompt().client_marks, 4);
}

#[test]
fn no_site_is_offered_where_the_provider_refuses_a_mark() {
    let request = messages(
        r#"{"model":"m","system":"You are Claude Code, a CLI.","tools":[{"name":"a","defer_loading":true},{"name":"b"}],
            "messages":[{"role":"user","content":" "},{"role":"user","content":[{"type":"text","text":""},{"type":"new_kind"}]}]}"#,
    );
    let prompt = request.prompt();
    let offered: Vec<_> = prompt
        .blocks
        .iter()
        .map(|block| (block.level, block.site != Site::None))
        .collect();
    let none = (Level::Messages, false);
    assert_eq!(
        offered,
        [
            (Level::Tools, false),
            (Level::Tools, true),
            (Level::System, false),
            none,
            none,
            none
        ]
    );
}

#[test]
fn a_site_of_none_changes_nothing() {
    let request = messages(RECORDED[0].1);
    let splice = request.set_mark(Site::None, Ttl::OneHour);
    assert_eq!(apply(request.bytes(), &mut [splice]), RECORDED[0].1);
}

#[test]
fn a_megabyte_is_spliced_in_place() {
    let text = "All work and no play.\\n".repeat(45_000);
    let json = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}],"model":"m","max_tokens":1}}"#);
    let request = messages(&json);
    assert!(json.len() > 1_000_000);
    let expected = json.replace(r#""model":"m""#, r#""model":"claude""#);
    assert_eq!(apply(request.bytes(), &mut [request.set_model("claude")]), expected);
    let (site, _) = sites(&request)[0];
    let edited = edit(&request, &request.set_mark(site, Ttl::FiveMinutes)).plain();
    assert_eq!(messages(&edited).prompt().text, request.prompt().text);
}
