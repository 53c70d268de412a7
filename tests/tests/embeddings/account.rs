//! The ledger: each request once, with what its stored part saved.

use llmcache_tests::fake::{FakeConfig, Fault, Skew, Trouble};
use llmcache_tests::kit::{Stage, metric};
use serde_json::{Value, json};

use crate::{cached, embed, send, tokens};

/// Nano-dollars a token of the price file below.
const PRICE: i128 = 20;

async fn priced() -> Stage {
    let file = tempfile::NamedTempFile::new().unwrap();
    let rows = json!({"rows": [{"provider": "openai", "id": "text-embedding-3-small", "input": 0.02, "output": 0}]});
    std::fs::write(file.path(), rows.to_string()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    Stage::start_with(cached(), FakeConfig::default(), ["--prices", &path])
        .await
        .unwrap()
}

fn nanos(value: &Value) -> i128 {
    let digits: String = value.as_str().unwrap().chars().filter(|c| *c != '.').collect();
    digits.parse().unwrap()
}

fn usd(line: &Value) -> [i128; 3] {
    let usd = &line["usd"];
    let [counterfactual, actual] = ["counterfactual", "actual"].map(|name| nanos(&usd[name]));
    assert_eq!(nanos(&usd["net"]), counterfactual - actual);
    [counterfactual, actual, nanos(&usd["saved"]["result_cache"])]
}

#[tokio::test]
async fn stored_items_save_their_share_and_the_rest_is_paid() {
    let stage = priced().await;
    let texts = ["a few words", "some more words than before", "the last of them"];
    let mut lines = Vec::new();
    let mut headers = Vec::new();
    for input in [json!(texts[..2]), json!(texts), json!(texts[1..])] {
        let reply = send(&stage, &embed(&input)).await;
        headers.push(nanos(&json!(reply.header("x-llmcache-saved-usd"))));
        let line = stage.client.account().await.unwrap()["recent"][0].clone();
        assert_eq!(line["usage"]["input"], tokens(&reply.json().unwrap()));
        lines.push(line);
    }
    let said = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    assert_eq!(said("outcome"), ["miss", "miss", "hit"]);
    assert_eq!(
        said("layer"),
        [json!(null), json!("result_cache"), json!("result_cache")]
    );
    assert_eq!(said("stored"), [true, true, false]);
    let used: Vec<i128> = lines
        .iter()
        .map(|line| line["usage"]["input"].as_i64().unwrap().into())
        .collect();
    let billed: Vec<i128> = stage
        .fake
        .bill()
        .lines
        .iter()
        .map(|line| line.tokens.input.into())
        .collect();
    let [first, second, third] = [usd(&lines[0]), usd(&lines[1]), usd(&lines[2])];
    assert_eq!(first, [used[0] * PRICE, billed[0] * PRICE, 0]);
    assert_eq!(second, [used[1] * PRICE, billed[1] * PRICE, used[0] * PRICE]);
    assert_eq!(third, [used[2] * PRICE, 0, used[2] * PRICE]);
    let account = stage.client.account().await.unwrap();
    assert_eq!(
        i128::from(account["tokens"]["input"].as_i64().unwrap()),
        billed.iter().sum::<i128>()
    );
    let page = stage.metrics().await.unwrap();
    let requests = |labels: &[&str]| metric(&page, "llmcache_requests_total", labels);
    let endpoint = "endpoint=\"embeddings\"";
    let partial = requests(&[endpoint, "outcome=\"miss\"", "layer=\"result_cache\""]);
    let hits = requests(&[endpoint, "outcome=\"hit\"", "layer=\"result_cache\""]);
    assert_eq!((requests(&[endpoint]), partial, hits), (3.0, 1.0, 1.0));
    let spared = metric(&page, "llmcache_saved_tokens_total", &["layer=\"result_cache\""]);
    assert!((spared - f64::from(i32::try_from(used[0] + used[2]).unwrap())).abs() < 0.5);
    assert_eq!(headers, [0, second[2], third[2]]);
}

#[tokio::test]
async fn answer_asked_for_in_vain_is_paid_too() {
    let stage = priced().await;
    send(&stage, &embed(&json!("stored"))).await;
    for after in [None, Some(500)] {
        stage.fake.script(Fault::new(Trouble::Vectors(Skew::Beyond)));
        if let Some(status) = after {
            stage
                .fake
                .script(Fault::status(status).on_model("text-embedding-3-small"));
        }
        let name = format!("new words {after:?}");
        send(&stage, &embed(&json!(["stored", name]))).await;
        let account = stage.client.account().await.unwrap();
        let billed: u64 = stage.fake.bill().lines.iter().map(|line| line.tokens.input).sum();
        assert_eq!(account["tokens"]["input"], billed, "{after:?}");
        assert_eq!(
            nanos(&account["usd"]["actual"]),
            i128::from(billed) * PRICE,
            "{after:?}"
        );
        let saved = nanos(&account["usd"]["saved"]["result_cache"]);
        assert_eq!(nanos(&account["usd"]["net"]), saved, "{after:?}");
        assert!(saved < 0, "{after:?}");
    }
}

#[tokio::test]
async fn model_without_a_price_is_counted_and_claims_nothing() {
    let stage = Stage::start(cached()).await.unwrap();
    for _ in 0..2 {
        send(&stage, &embed(&json!(["one", "two"]))).await;
    }
    let account = stage.client.account().await.unwrap();
    assert_eq!(
        (&account["models"]["other"], &account["usd"]["net"]),
        (&json!(2), &json!("0.000000000"))
    );
    assert_eq!(account["recent"][0]["usd"]["unpriced"], json!(["model"]));
    assert_eq!(account["tokens"]["input"], 2);
}
