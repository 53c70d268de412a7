//! The example policy reproduces the classic three tiers.

use llmcache_tests::kit::{Stage, example, metric, question};

use crate::routed;

const HAIKU: &str = "claude-haiku-5-5";
const SONNET: &str = "claude-sonnet-5-5";
const OPUS: &str = "claude-opus-5-5";

const GOLDEN: [(&str, &str); 10] = [
    ("What are your opening hours?", HAIKU),
    ("How do I reset my password?", HAIKU),
    ("Translate \"good morning\" into French.", HAIKU),
    (
        "Analyze last month's support tickets and tell me what went wrong.",
        SONNET,
    ),
    ("Compare the Basic plan with the Pro plan for a team of five.", SONNET),
    ("Please EXPLAIN why my invoice went up.", SONNET),
    ("Design a backup plan for our shop's database.", OPUS),
    ("Help me architect a queue for webhooks.", OPUS),
    ("Create a strategy for winning back customers who left.", OPUS),
    (LONG_AND_PLAIN, SONNET),
];

/// 200 bytes or more without a word that asks for thought.
const LONG_AND_PLAIN: &str = "Yesterday I ordered two lamps and a rug from your shop, paid with my card, and got a mail \
    that only the lamps were sent. The rug shows as out of stock now. Will it still be sent, and do I have to pay for \
    the second parcel as well?";

#[tokio::test]
async fn ten_golden_prompts_reach_their_tier_and_say_so() {
    let stage = Stage::start(example("support-bot.yaml")).await.unwrap();
    for (prompt, model) in GOLDEN {
        let reply = stage.messages(&question("auto", prompt)).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let word = if prompt == LONG_AND_PLAIN { "default" } else { "rule" };
        assert_eq!(routed(&reply), (model, word), "{prompt}");
        assert_eq!(reply.json().unwrap()["model"], model, "{prompt}");
    }
    let asked: Vec<_> = GOLDEN.iter().map(|(_, model)| (*model).to_owned()).collect();
    assert_eq!(stage.asked(), asked);
    let page = stage.metrics().await.unwrap();
    for (tier, requests) in [("haiku", 3.0), ("sonnet", 4.0), ("opus", 3.0)] {
        let counted = metric(&page, "llmcache_requests_total", &[&format!("tier=\"{tier}\"")]);
        assert!((counted - requests).abs() < f64::EPSILON, "{tier}: {counted}");
    }
}

#[tokio::test]
async fn named_models_are_lowered_by_the_same_rules_and_never_raised() {
    let stage = Stage::start(example("support-bot.yaml")).await.unwrap();
    for (asked, prompt, model, word) in [
        (OPUS, GOLDEN[0].0, HAIKU, "rule"),
        (OPUS, GOLDEN[3].0, SONNET, "rule"),
        (OPUS, GOLDEN[6].0, OPUS, "requested"),
        (SONNET, GOLDEN[7].0, SONNET, "ceiling"),
        (HAIKU, GOLDEN[8].0, HAIKU, "not_listed"),
    ] {
        let reply = stage.messages(&question(asked, prompt)).await.unwrap();
        assert_eq!(routed(&reply), (model, word), "{asked}: {prompt}");
    }
}

#[tokio::test]
async fn keywords_count_as_whole_words_alone() {
    let stage = Stage::start(example("support-bot.yaml")).await.unwrap();
    for (prompt, model) in [
        ("Is the redesigned page live?", HAIKU),
        ("What is a strategyless game?", HAIKU),
        ("A question of (design)?", OPUS),
        ("Comparez les prix", HAIKU),
    ] {
        let reply = stage.messages(&question("auto", prompt)).await.unwrap();
        assert_eq!(routed(&reply), (model, "rule"), "{prompt}");
    }
}
