use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use prometheus::{Registry, TextEncoder};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::inject::{Namespace, Resources, Settings};
use client::{Client, Protocol};
use stage::Stage;

mod client;
mod connections;
mod reviews;
mod stage;

pub(super) fn facts() -> Facts {
    let settings = Settings {
        image: "registry.example/llmcache-sidecar:0.1.0".into(),
        image_pull_policy: "IfNotPresent".into(),
        log_level: "info".into(),
        resources: Resources::default(),
        operator: "https://llmcache-operator.llmcache-system.svc:15443".into(),
        ca_bundle: "PEM".into(),
        prices: None,
    };
    Facts {
        settings: Some(Arc::new(settings)),
        server_minor: Some(34),
        ..Facts::default()
    }
}

/// A pod of a ReplicaSet that asks for the sidecar.
fn pod() -> Value {
    json!({
        "metadata": {
            "generateName": "chat-6d4b-",
            "annotations": {"llmcache.dev/inject": "enabled"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Other", "name": "other", "uid": "o"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-6d4b", "uid": "u", "controller": true},
            ],
        },
        "spec": {"containers": [{"name": "app"}]},
    })
}

fn review(kind: &str, operation: &str, object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "namespace": "shop",
            "operation": operation,
            "object": object,
            "oldObject": null,
            "dryRun": false,
        },
    })
}

fn pod_review() -> Value {
    review("Pod", "CREATE", &pod())
}

/// The operations of an answer's patch.
fn patch(answer: &Value) -> Vec<Value> {
    let Some(patch) = answer["response"]["patch"].as_str() else {
        return Vec::new();
    };
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    serde_json::from_slice(&BASE64_STANDARD.decode(patch).unwrap()).unwrap()
}

/// The object as the API server makes it of an answer.
fn patched(object: &Value, answer: &Value) -> Value {
    let mut object = object.clone();
    let operations: json_patch::Patch = serde_json::from_value(patch(answer).into()).unwrap();
    json_patch::patch(&mut object, &operations).unwrap();
    object
}

fn warnings(answer: &Value) -> Vec<&str> {
    let warnings = answer["response"]["warnings"].as_array().into_iter().flatten();
    warnings.filter_map(Value::as_str).collect()
}

/// What every answer is, whatever was asked.
fn assert_allowed(answer: &Value) {
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1", "{answer}");
    assert_eq!(answer["kind"], "AdmissionReview", "{answer}");
    assert_eq!(answer["response"]["allowed"], true, "{answer}");
}
