//! Answers that go wrong: never a wrong vector to any caller, nothing wrong stored.

use llmcache_tests::fake::{Fault, Skew, Trouble};
use llmcache_tests::kit::{Stage, metric};
use serde_json::json;

use crate::{asked, assert_true, cached, embed, send, tokens};

/// Answers that have not one right vector for each item.
const UNREADABLE: [Skew; 5] = [Skew::Missing, Skew::Doubled, Skew::Extra, Skew::Beyond, Skew::Short];

fn skew(skew: Skew) -> Fault {
    Fault::new(Trouble::Vectors(skew))
}

#[tokio::test]
async fn vectors_in_another_order_are_told_apart_by_their_index() {
    let stage = Stage::start(cached()).await.unwrap();
    send(&stage, &embed(&json!(["b", "d"]))).await;
    stage.fake.script(skew(Skew::Reversed));
    let body = embed(&json!(["a", "b", "c", "d", "e"]));
    assert_true(&body, &send(&stage, &body).await.json().unwrap()).await;
    stage.fake.script(skew(Skew::Reversed));
    let whole = embed(&json!(["x", "y", "z"]));
    let answer = send(&stage, &whole).await.json().unwrap();
    let indexes: Vec<_> = (0..3).map(|at| answer["data"][at]["index"].as_u64().unwrap()).collect();
    assert_eq!(
        indexes,
        [2, 1, 0],
        "what need not be put together is passed on as it came"
    );
    for body in [body, whole, embed(&json!(["z", "c", "x"]))] {
        let hit = send(&stage, &body).await;
        assert!(hit.is_hit());
        assert_true(&body, &hit.json().unwrap()).await;
    }
}

#[tokio::test]
async fn unreadable_answer_to_the_whole_is_passed_on_and_not_stored() {
    let stage = Stage::start(cached()).await.unwrap();
    for wrong in UNREADABLE {
        let body = embed(&json!([format!("{wrong:?} one"), format!("{wrong:?} two")]));
        stage.fake.script(skew(wrong));
        let reply = send(&stage, &body).await;
        assert_eq!(reply.cache_status(), "llmcache; fwd=miss", "{wrong:?}");
        assert!(
            reply.header("x-llmcache-reason").ends_with("store=malformed"),
            "{wrong:?}"
        );
        let calls = stage.fake.calls();
        for input in [json!(format!("{wrong:?} one")), json!(format!("{wrong:?} two"))] {
            let again = send(&stage, &embed(&input)).await;
            assert!(!again.is_hit(), "{wrong:?}");
            assert_true(&embed(&input), &again.json().unwrap()).await;
        }
        assert_eq!(stage.fake.calls(), calls + 2);
    }
}

#[tokio::test]
async fn unreadable_answer_to_a_part_makes_us_ask_for_the_whole() {
    let stage = Stage::start(cached()).await.unwrap();
    for wrong in [Skew::Half, Skew::OtherModel].into_iter().chain(UNREADABLE) {
        let text = |n: u8| format!("{wrong:?} {n}");
        send(&stage, &embed(&json!([text(1), text(2)]))).await;
        stage.fake.script(skew(wrong));
        let before = asked(&stage).len();
        let body = embed(&json!([text(1), text(3), text(2), text(4)]));
        let reply = send(&stage, &body).await;
        assert_eq!(reply.cache_status(), "llmcache; fwd=miss; stored", "{wrong:?}");
        let answer = reply.json().unwrap();
        assert_true(&body, &answer).await;
        assert_eq!(
            asked(&stage)[before..],
            [json!([text(3), text(4)]), body["input"].clone()],
            "{wrong:?}"
        );
        let hit = send(&stage, &body).await;
        assert!(hit.is_hit(), "{wrong:?}");
        let hit = hit.json().unwrap();
        assert_true(&body, &hit).await;
        assert_eq!(tokens(&hit), tokens(&answer));
    }
    let page = stage.metrics().await.unwrap();
    let again = metric(
        &page,
        "llmcache_bypass_total",
        &["layer=\"store\"", "reason=\"unmerged\""],
    );
    assert!((again - 7.0).abs() < f64::EPSILON, "{again}");
}

#[tokio::test]
async fn a_provider_that_has_changed_its_vectors_replaces_what_is_stored() {
    let stage = Stage::start(cached()).await.unwrap();
    send(&stage, &embed(&json!(["old", "older"]))).await;
    for _ in 0..2 {
        stage.fake.script(skew(Skew::OtherModel));
    }
    let both = send(&stage, &embed(&json!(["old", "new"]))).await.json().unwrap();
    assert_eq!(both["model"], "text-embedding-next");
    let hit = send(&stage, &embed(&json!(["new", "old"]))).await;
    assert!(hit.is_hit());
    let hit = hit.json().unwrap();
    assert_eq!(hit["data"][1]["embedding"], both["data"][0]["embedding"]);
    assert_eq!(hit["model"], "text-embedding-next");
    // One of either space: neither may stand beside the other.
    let calls = stage.fake.calls();
    let body = embed(&json!(["older", "new"]));
    let mixed = send(&stage, &body).await;
    assert!(!mixed.is_hit());
    assert_true(&body, &mixed.json().unwrap()).await;
    assert_eq!(stage.fake.calls(), calls + 1);
}

#[tokio::test]
async fn answer_without_usage_is_served_and_claims_none() {
    let stage = Stage::start(cached()).await.unwrap();
    stage.fake.script(skew(Skew::NoUsage));
    let body = embed(&json!(["one", "two"]));
    assert!(!send(&stage, &body).await.is_hit());
    let hit = send(&stage, &body).await;
    assert!(hit.is_hit());
    let answer = hit.json().unwrap();
    assert_true(&body, &answer).await;
    assert!(answer["usage"].is_null());
    let account = stage.client.account().await.unwrap();
    assert_eq!(account["tokens"]["input"], 0);
}

#[tokio::test]
async fn vectors_of_two_lengths_never_stand_in_one_answer() {
    let stage = Stage::start(cached()).await.unwrap();
    let of = |input: &[&str]| json!({"model": crate::MODEL, "input": input});
    send(&stage, &of(&["one"])).await;
    stage.fake.script(skew(Skew::Half));
    let body = of(&["one", "two"]);
    let reply = send(&stage, &body).await;
    assert_eq!(stage.fake.calls(), 3);
    assert_true(&body, &reply.json().unwrap()).await;
}
