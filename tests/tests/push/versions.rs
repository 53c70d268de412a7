//! The version before and the version after: what one side does not know it leaves out.

use llmcache_policy::push::{Down, down};
use llmcache_tests::kit::{encode, snapshot as offered};
use prost::Message;
use serde_json::Value;

use super::{Scene, compiled};

/// Field 90 of length 3: no version has it.
const UNKNOWN: [u8; 6] = [0xd2, 0x05, 0x03, b'n', b'e', b'w'];

#[tokio::test]
async fn unknown_messages_and_fields_are_left_out() {
    let scene = Scene::start().await.unwrap();
    // A body of a later version, an empty message, and a known one with a field that is not.
    scene.operator.say_raw(UNKNOWN.to_vec()).await.unwrap();
    scene.operator.say_raw(Vec::new()).await.unwrap();
    let (revision, json) = compiled(1, "  resultCache: {}").unwrap();
    let mut value: Value = serde_json::from_slice(&json).unwrap();
    value["later_layer"] = serde_json::json!({"mode": "Observe"});
    value["identity"]["cluster"] = "eu".into();
    value["result_cache"]["later"] = 1.into();
    let mut message = encode(offered(7, &revision, value.to_string()));
    message.extend_from_slice(&UNKNOWN);
    scene.operator.say_raw(message).await.unwrap();
    let ack = scene.operator.answer(7).await.unwrap().unwrap();
    assert_eq!(ack.revision, revision);
    scene.ask("one?").await.unwrap();
    assert!(scene.ask("one?").await.unwrap().is_hit());
    assert_eq!(scene.operator.hellos().len(), 1, "it stays connected");
}

#[tokio::test]
async fn a_snapshot_of_the_version_before_lacks_what_came_later() {
    let scene = Scene::start().await.unwrap();
    let (revision, json) = compiled(1, "  resultCache: {}").unwrap();
    let mut value: Value = serde_json::from_slice(&json).unwrap();
    for later in ["semantic_cache", "store_class"] {
        assert!(value.as_object_mut().unwrap().remove(later).is_some());
    }
    let class = value["ttl_classes"][0].as_object_mut().unwrap();
    assert!(class.remove("similarity_threshold").is_some());
    scene.operator.apply(&revision, value.to_string()).await.unwrap();
}

#[test]
fn a_message_of_a_later_version_is_one_without_body() {
    assert_eq!(
        Down::decode(&UNKNOWN[..]).unwrap(),
        Down {
            body: None::<down::Body>
        }
    );
}
