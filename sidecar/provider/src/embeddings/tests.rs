use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn answer(data: &Value) -> Bytes {
    let usage = json!({"prompt_tokens": 7, "total_tokens": 7});
    json!({"object": "list", "data": data, "model": "m", "usage": usage})
        .to_string()
        .into()
}

fn vector(index: usize, embedding: &Value) -> Value {
    json!({"object": "embedding", "index": index, "embedding": embedding})
}

fn floats(index: usize, first: f64) -> Value {
    vector(index, &json!([first, 0.5, -1e-3]))
}

#[test]
fn vectors_are_taken_by_their_index_as_written() {
    let body = Bytes::from_static(
        br#"{
  "object": "list", "id": "own",
  "data": [
    {"embedding": [ -0.0069292834, 1E-5 ], "index" : 1, "object": "embedding"},
    {"object":"embedding","index":0,"embedding":[0.0069292833894490001,2]}
  ],
  "model": "m", "usage": {"prompt_tokens": 5, "total_tokens": 5, "own": null}
}"#,
    );
    let batch = read(&body, 2, Some(2)).unwrap();
    assert_eq!((batch.tokens, batch.space.shape), (Some(5), Shape::Floats(2)));
    assert_eq!(batch.space.model.as_deref(), Some("m"));
    let [first, second] = &batch.vectors[..] else {
        panic!("{batch:?}")
    };
    let merged = merge(&batch.envelope, &[second, first, second], 123).unwrap();
    let expected = r#"{
  "object": "list", "id": "own",
  "data": [{"embedding": [ -0.0069292834, 1E-5 ], "index" : 0, "object": "embedding"},{"object":"embedding","index":1,"embedding":[0.0069292833894490001,2]},{"embedding": [ -0.0069292834, 1E-5 ], "index" : 2, "object": "embedding"}],
  "model": "m", "usage": {"prompt_tokens": 123, "total_tokens": 123, "own": null}
}"#;
    assert_eq!(merged, expected);
}

#[test]
fn answer_without_one_right_vector_for_each_item_is_none() {
    let packed = |text: &str| json!([vector(0, &json!(text)), floats(1, 1.0)]);
    for (data, why) in [
        (json!([floats(0, 1.0)]), "too few"),
        (json!([floats(0, 1.0), floats(1, 2.0), floats(2, 3.0)]), "too many"),
        (json!([floats(0, 1.0), floats(0, 2.0)]), "one twice"),
        (json!([floats(0, 1.0), floats(2, 2.0)]), "one beyond"),
        (json!([floats(0, 1.0), vector(1, &json!([1, 2]))]), "one too short"),
        (json!([floats(0, 1.0), vector(1, &json!([1, 2, "3"]))]), "no numbers"),
        (json!([floats(0, 1.0), vector(1, &json!([1, 2, [3]]))]), "nested"),
        (json!([floats(0, 1.0), vector(1, &json!([]))]), "empty"),
        (json!([floats(0, 1.0), vector(1, &Value::Null)]), "null"),
        (json!([floats(0, 1.0), {"embedding": [1, 2, 3]}]), "no index"),
        (json!([floats(0, 1.0), {"index": 1}]), "no vector"),
        (
            json!([floats(0, 1.0), {"index": "1", "embedding": [1, 2, 3]}]),
            "index is text",
        ),
        (
            json!([floats(0, 1.0), {"index": 1.0, "embedding": [1, 2, 3]}]),
            "index is no integer",
        ),
        (packed("AAAAAAAAAAAAAAAA"), "two forms"),
        (json!({"0": floats(0, 1.0)}), "no list"),
    ] {
        assert!(read(&answer(&data), 2, None).is_err(), "{why}");
    }
    let right = answer(&json!([floats(0, 1.0), floats(1, 2.0)]));
    assert!(read(&right, 2, None).is_ok() && read(&right, 2, Some(3)).is_ok());
    assert!(read(&right, 2, Some(4)).is_err() && read(&right, 1, None).is_err());
    let text = std::str::from_utf8(&right).unwrap();
    for (from, to) in [
        (r#""index":1"#, r#""index":1,"index":0"#),
        (r#""model":"m""#, r#""model":"m","model":"n""#),
        (r#""total_tokens":7"#, r#""total_tokens":8"#),
        (r#""total_tokens":7"#, r#""total_tokens":7,"prompt_tokens":6"#),
        (r#""prompt_tokens":7"#, r#""prompt_tokens":-7"#),
        (r#""model":"m""#, &format!(r#""model":"{}""#, "m".repeat(5_000))),
    ] {
        assert!(text.contains(from));
        assert!(read(&text.replacen(from, to, 1).into(), 2, None).is_err(), "{to}");
    }
    assert!(read(&right.slice(1..), 2, None).is_err());
    let error = Bytes::from_static(br#"{"error":{"message":"no"}}"#);
    assert_eq!(read(&error, 2, None), Err(NotAnswer::ErrorEvent));
}

#[test]
fn packed_vectors_are_counted_in_numbers_of_four_bytes() {
    let shape = |text: &str| Shape::of(&RawValue::from_string(text.to_owned()).unwrap());
    for (text, expected) in [
        (r#""AACAPw==""#, Some(Shape::Packed(1))),
        (r#""AACAPwAAgL8=""#, Some(Shape::Packed(2))),
        (r#""AACAPwAAgD8AAIA\/""#, Some(Shape::Packed(3))),
        (r#""AACAPw""#, None),
        (r#""AACA""#, None),
        (r#""AACAP_==""#, None),
        (r#""AAC=Pw==""#, None),
        (r#""A===""#, None),
        (r#""""#, None),
        ("[1,-2.5e-3,\n0]", Some(Shape::Floats(3))),
        ("[ ]", None),
        ("[null]", None),
        ("7", None),
        ("{}", None),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
}

#[test]
fn usage_that_is_not_stated_stays_out() {
    let body = Bytes::from(json!({"data": [floats(0, 1.0)]}).to_string());
    let batch = read(&body, 1, None).unwrap();
    assert_eq!(batch.tokens, None);
    let merged = merge(&batch.envelope, &[&batch.vectors[0]], 9).unwrap();
    assert_eq!(merged, body);
}

#[test]
fn tokens_are_shared_out_to_the_last_one() {
    assert_eq!(shares(7, &[123]), [7]);
    assert_eq!(shares(10, &[1, 1, 1]), [4, 3, 3]);
    assert_eq!(shares(6, &[3, 2, 1]), [3, 2, 1]);
    assert_eq!(shares(5, &[0, 0]), [3, 2]);
    assert_eq!(shares(2, &[1, 9, 9, 1]), [0, 1, 1, 0]);
    assert_eq!(shares(u64::MAX, &[u64::MAX]), [u64::MAX]);
    assert!(shares(7, &[]).is_empty());
}

proptest! {
    #[test]
    fn shares_sum_to_what_was_billed(total: u64, weights in prop::collection::vec(any::<u64>(), 1..40)) {
        let shares = shares(total, &weights);
        prop_assert_eq!(shares.iter().map(|share| u128::from(*share)).sum::<u128>(), u128::from(total));
    }

    #[test]
    fn any_order_of_an_answer_gives_each_item_its_own_vector(order in Just((0..9_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let data: Vec<Value> = order.iter().map(|index| floats(*index, f64::from(u8::try_from(*index).unwrap()))).collect();
        let batch = read(&answer(&json!(data)), 9, None).unwrap();
        for (index, vector) in batch.vectors.iter().enumerate() {
            let object: Value = serde_json::from_slice(&vector.object).unwrap();
            prop_assert_eq!(object, floats(index, f64::from(u8::try_from(index).unwrap())));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut: usize, flip: u8) {
        let mut near = answer(&json!([floats(0, 1.0), floats(1, 2.0)])).to_vec();
        let at = cut % near.len();
        near[at] = flip;
        for body in [bytes, near[..at].to_vec(), near] {
            let body = Bytes::from(body);
            if let Ok(batch) = read(&body, 2, None) {
                let vectors: Vec<_> = batch.vectors.iter().collect();
                let merged = merge(&batch.envelope, &vectors, 1);
                prop_assert!(merged.is_some_and(|merged| serde_json::from_slice::<Value>(&merged).is_ok()));
            }
        }
    }
}
