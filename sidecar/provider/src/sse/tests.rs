use proptest::prelude::*;

use super::*;

fn frames(body: &[u8]) -> Vec<(Option<String>, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let frames = Frames::new(body);
    let frames = frames.filter(|frame| frame.event.is_some() || !frame.data.is_empty());
    frames.map(|frame| (frame.event.map(text), text(&frame.data))).collect()
}

fn pair(event: &str, data: &str) -> (Option<String>, String) {
    (Some(event.to_owned()), data.to_owned())
}

#[test]
fn frames_are_read_whatever_ends_their_lines() {
    let body = ": comment\n\nevent: a\ndata: 1\n\nid: 3\nevent:b\ndata:2\ndata: 3\n\n\ndata: [DONE]\n\n";
    let expected = [pair("a", "1"), pair("b", "2\n3"), (None, "[DONE]".to_owned())];
    for end in ["\n", "\r\n", "\r"] {
        assert_eq!(frames(body.replace('\n', end).as_bytes()), expected);
    }
}

#[test]
fn byte_order_mark_and_missing_last_blank_line_are_tolerated() {
    assert_eq!(frames(b"\xEF\xBB\xBFevent: a\ndata: 1"), [pair("a", "1")]);
}

#[test]
fn names_that_only_begin_like_a_field_are_ignored() {
    assert_eq!(frames(b"database: 1\nevents: x\ndata\nevent: e\n\n"), [pair("e", "")]);
}

proptest! {
    #[test]
    fn frame_ends_do_not_depend_on_chunks(
        lines in prop::collection::vec("(data: [a-c]{0,3}|event: x|)(\n|\r\n|\r)", 0..20),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let body = lines.concat();
        let ends = |cuts: &[usize]| {
            let mut splitter = Splitter::new();
            let mut ends = Vec::new();
            let mut start = 0;
            for cut in cuts {
                let mut at = start;
                while let Some(end) = splitter.next_end(&body.as_bytes()[at..*cut]) {
                    at += end;
                    ends.push(at);
                }
                start = *cut;
            }
            // A cut between CR and LF moves the LF to the next frame, where it is no line of its own.
            let is_split = |end: usize| body.as_bytes()[..end].ends_with(b"\r") && body[end..].starts_with('\n');
            ends.iter().map(|end| if is_split(*end) { end + 1 } else { *end }).collect::<Vec<_>>()
        };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.push(body.len());
        cuts.sort_unstable();
        prop_assert_eq!(ends(&cuts), ends(&[body.len()]));
    }
}
