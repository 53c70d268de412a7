//! The `AdmissionReview` that goes back: always allowed.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::inject::Patch;

/// The API server drops warnings beyond 4 KiB in all.
const MOST_WARNINGS: usize = 8;
/// Longer ones may be cut by the API server, in the middle of a character.
const WARNING_LENGTH: usize = 256;

/// What the API server hears.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) uid: String,
    pub(super) patch: Patch,
    pub(super) warnings: Vec<String>,
}

impl Answer {
    pub(super) fn render(self) -> Response<Full<Bytes>> {
        let mut response = json!({"uid": self.uid, "allowed": true});
        // A patch is a list of JSON values: writing it cannot fail.
        if !self.patch.is_empty()
            && let Ok(patch) = serde_json::to_vec(&self.patch)
        {
            response["patchType"] = "JSONPatch".into();
            response["patch"] = BASE64_STANDARD.encode(patch).into();
        }
        if !self.warnings.is_empty() {
            let warnings = self.warnings.iter().take(MOST_WARNINGS);
            response["warnings"] = warnings.map(|warning| warning_text(warning)).collect();
        }
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        let mut response = Response::new(Full::from(review.to_string()));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

/// One line for people, whole words where it can be.
fn warning_text(warning: &str) -> Value {
    let clean = warning.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut text = "llmcache: ".to_owned();
    for c in clean {
        if text.len() + c.len_utf8() > WARNING_LENGTH {
            text.truncate(text.rfind(' ').unwrap_or(text.len()));
            text.push('…');
            break;
        }
        text.push(c);
    }
    text.into()
}
