use super::*;

const MINUTE: i64 = 60_000;

fn digest(text: &[u8]) -> Key {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let mut prefix = [0; 16];
    prefix[..8].copy_from_slice(&hasher.finish().to_be_bytes());
    Key { prefix, model: 1 }
}

/// A prompt of one-letter blocks, 100 bytes (and, below, 100 tokens) each; marks by block.
fn outline(letters: &str, marks: &[(usize, Life)]) -> Outline {
    let stop = |block: usize| Stop {
        end: 100 * (block as u64 + 1),
        key: digest(&letters.as_bytes()[..=block]),
    };
    let probe = |(block, life): &(usize, Life)| Probe {
        life: *life,
        stops: (block.saturating_sub(19)..=*block).rev().map(stop).collect(),
    };
    Outline {
        total: 100 * letters.len() as u64,
        min_tokens: 200,
        regime: Regime::Marks,
        probes: marks.iter().map(probe).collect(),
    }
}

fn at(ms: i64) -> Times {
    Times {
        started_ms: ms,
        begun_ms: ms,
    }
}

fn advance(shadow: &mut Shadow, letters: &str, marks: &[(usize, Life)], times: Times) -> (u64, u64, u64) {
    let split = shadow.advance(&outline(letters, marks), 100 * letters.len() as u64, times);
    (split.read, split.write_5m, split.write_1h)
}

#[test]
fn growing_conversation_reads_up_to_the_last_mark_and_writes_the_rest() {
    let mut shadow = Shadow::default();
    assert_eq!(advance(&mut shadow, "abc", &[(2, Life::Minutes5)], at(0)), (0, 300, 0));
    assert_eq!(
        advance(&mut shadow, "abcde", &[(4, Life::Minutes5)], at(1)),
        (300, 200, 0)
    );
    assert_eq!(
        advance(&mut shadow, "abcdef", &[], at(2)),
        (0, 0, 0),
        "no mark, no look"
    );
    assert_eq!(
        advance(&mut shadow, "abxde", &[(4, Life::Minutes5)], at(3)),
        (0, 500, 0),
        "another prefix"
    );
}

#[test]
fn prefix_below_the_minimum_is_neither_written_nor_read() {
    let mut shadow = Shadow::default();
    assert_eq!(advance(&mut shadow, "abc", &[(0, Life::Minutes5)], at(0)), (0, 0, 0));
    assert_eq!(advance(&mut shadow, "abc", &[(2, Life::Minutes5)], at(1)), (0, 300, 0));
    // The same bytes at fewer tokens: the entry is there, but too short.
    let split = shadow.advance(&outline("abc", &[(2, Life::Minutes5)]), 150, at(2));
    assert_eq!(split, Split::default());
}

#[test]
fn looks_back_twenty_blocks_and_no_further() {
    let letters = "abcdefghijklmnopqrstuvwxyz";
    let mut shadow = Shadow::default();
    advance(&mut shadow, &letters[..3], &[(2, Life::Minutes5)], at(0));
    assert_eq!(
        advance(&mut shadow, &letters[..23], &[(22, Life::Minutes5)], at(1)),
        (0, 2_300, 0)
    );
    let mut shadow = Shadow::default();
    advance(&mut shadow, &letters[..3], &[(2, Life::Minutes5)], at(0));
    assert_eq!(
        advance(&mut shadow, &letters[..22], &[(21, Life::Minutes5)], at(1)),
        (300, 1_900, 0)
    );
}

#[test]
fn reading_refreshes_and_silence_expires() {
    let mut shadow = Shadow::default();
    let mark = [(2, Life::Minutes5)];
    advance(&mut shadow, "abc", &mark, at(0));
    assert_eq!(advance(&mut shadow, "abc", &mark, at(4 * MINUTE)), (300, 0, 0));
    assert_eq!(advance(&mut shadow, "abc", &mark, at(9 * MINUTE - 1)), (300, 0, 0));
    assert_eq!(advance(&mut shadow, "abc", &mark, at(14 * MINUTE - 1)), (0, 300, 0));
    let hour = [(2, Life::Hour)];
    advance(&mut shadow, "xyz", &hour, at(0));
    assert_eq!(advance(&mut shadow, "xyz", &hour, at(59 * MINUTE)), (300, 0, 0));
}

#[test]
fn mixed_lives_are_charged_in_order() {
    let mut shadow = Shadow::default();
    let marks = [(2, Life::Hour), (5, Life::Minutes5)];
    assert_eq!(advance(&mut shadow, "abcdef", &marks, at(0)), (0, 300, 300));
    // Six minutes on, the shorter one is gone.
    assert_eq!(advance(&mut shadow, "abcdef", &marks, at(6 * MINUTE)), (300, 300, 0));
    let marks = [(2, Life::Hour), (4, Life::Hour), (7, Life::Minutes5)];
    assert_eq!(
        advance(&mut shadow, "abcdefgh", &marks, at(7 * MINUTE)),
        (600, 200, 0),
        "a read above a mark covers it"
    );
}

#[test]
fn entry_is_visible_only_once_its_response_has_begun() {
    let mut shadow = Shadow::default();
    let mark = [(2, Life::Minutes5)];
    let first = Times {
        started_ms: 0,
        begun_ms: 1_000,
    };
    assert_eq!(advance(&mut shadow, "abc", &mark, first), (0, 300, 0));
    let sibling = Times {
        started_ms: 500,
        begun_ms: 1_500,
    };
    assert_eq!(advance(&mut shadow, "abc", &mark, sibling), (0, 300, 0));
    assert_eq!(
        advance(&mut shadow, "abc", &mark, at(1_000)),
        (300, 0, 0),
        "the sibling does not hide it again"
    );
}

#[test]
fn oldest_prefix_makes_room() {
    let mut shadow = Shadow::new(2);
    let mark = [(2, Life::Hour)];
    advance(&mut shadow, "aaa", &mark, at(0));
    advance(&mut shadow, "bbb", &mark, at(1));
    advance(&mut shadow, "aaa", &mark, at(2));
    advance(&mut shadow, "ccc", &mark, at(3));
    assert_eq!(shadow.len(), 2);
    assert_eq!(advance(&mut shadow, "aaa", &mark, at(4)), (300, 0, 0), "used last");
    assert_eq!(advance(&mut shadow, "bbb", &mark, at(5)), (0, 0, 300), "oldest");
    assert_eq!(shadow.by_age.len(), shadow.entries.len());
}

#[test]
fn longest_common_prefix_is_read_in_whole_steps_for_free() {
    let mut shadow = Shadow::default();
    let prefix = |letters: &str| Outline {
        regime: Regime::Prefix { step: 128 },
        ..outline(letters, &[(letters.len() - 1, Life::Day)])
    };
    let mut read = |letters: &str| shadow.advance(&prefix(letters), 100 * letters.len() as u64, at(0));
    assert_eq!(read("abcdef"), Split::default());
    assert_eq!(
        read("abcxyz"),
        Split {
            read: 256,
            ..Split::default()
        },
        "300 tokens in common"
    );
    assert_eq!(read("axxxxx"), Split::default(), "below the minimum");
}

mod of_requests {
    use bytes::Bytes;
    use llmcache_provider::{Endpoint, Provider, Request};

    use super::*;

    fn outline(endpoint: Endpoint, model: &str, body: &str) -> Outline {
        let request = Request::parse(endpoint, Bytes::from(body.to_owned())).unwrap();
        let prompt = request.prompt();
        let prefix = |block: usize| digest(&prompt.text[..prompt.blocks[block].end]).prefix;
        Outline::new(endpoint.provider(), model, &prompt, prefix).unwrap()
    }

    fn anthropic(messages: &str, extra: &str) -> Outline {
        let body = format!(
            r#"{{"model":"claude-sonnet-5-5","max_tokens":9,"system":[{{"type":"text","text":"s"}}]{extra},"messages":{messages}}}"#
        );
        outline(Endpoint::AnthropicMessages, "claude-sonnet-5-5", &body)
    }

    #[test]
    fn client_marks_are_the_probes() {
        let marked = r#"[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},
            {"type":"text","text":"b"}]}]"#;
        let outline = anthropic(marked, "");
        assert_eq!(outline.min_tokens, 512);
        assert_eq!(outline.probes.len(), 1);
        assert_eq!((outline.probes[0].life, outline.probes[0].stops.len()), (Life::Hour, 2));
        assert_eq!(anthropic(r#"[{"role":"user","content":"a"}]"#, "").probes, []);
    }

    #[test]
    fn top_level_mark_stands_on_the_last_block() {
        let top = r#","cache_control":{"type":"ephemeral"}"#;
        let outline = anthropic(
            r#"[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]"#,
            top,
        );
        assert_eq!(outline.probes.len(), 1);
        assert_eq!(
            (outline.probes[0].life, outline.probes[0].stops.len()),
            (Life::Minutes5, 3)
        );
        assert_eq!(outline.probes[0].stops[0].end, outline.total);
    }

    #[test]
    fn openai_caches_by_itself_in_the_regime_of_the_model() {
        let body = r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]}"#;
        let exact = outline(Endpoint::OpenAiChat, "gpt-6.2-sol", body);
        assert_eq!((exact.regime, exact.probes[0].life), (Regime::Marks, Life::Minutes30));
        for older in ["gpt-5.5", "gpt-4o", "o3"] {
            let outline = outline(Endpoint::OpenAiChat, older, body);
            assert_eq!(outline.regime, Regime::Prefix { step: 128 }, "{older}");
            assert_eq!((outline.probes[0].stops.len(), outline.min_tokens), (2, 1_024));
        }
        let request = Request::parse(Endpoint::OpenAiChat, Bytes::from_static(body.as_bytes())).unwrap();
        assert!(Outline::new(Provider::OpenAi, "m", &request.prompt(), |_| [0; 16]).is_none());
    }
}
