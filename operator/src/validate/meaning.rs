//! What neither schema nor CEL can see: addresses that resolve to nothing, certificates that are none, labels no pod can
//! have. In a cluster these become `Accepted=False`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::problem::Problems;

/// How the names of models begin that the two providers serve.
const JUDGES: [&str; 8] = ["claude-", "gpt-", "chatgpt-", "o1", "o3", "o4", "o5", "ft:"];
const PEM_START: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// Judges `spec`; values of a wrong type are the schema's to name.
pub(super) fn check(spec: &Value, problems: &mut Problems<'_>) {
    for provider in ["anthropic", "openai"] {
        let upstream = &spec["upstreams"][provider];
        let path = format!("spec.upstreams.{provider}");
        check_url(&upstream["url"], &format!("{path}.url"), problems);
        check_certificates(&upstream["caBundle"], &format!("{path}.caBundle"), problems);
    }
    check_labels(&spec["selector"], problems);
    check_judge(spec, problems);
}

/// A judge is asked at the upstream of the pair it judges, with the credential of the request: it has to be known there.
fn check_judge(spec: &Value, problems: &mut Problems<'_>) {
    let path = "spec.semanticCache.judge.model";
    let value = &spec["semanticCache"]["judge"]["model"];
    let Some(model) = value.as_str().filter(|_| !problems.touches(path)) else {
        return;
    };
    let serves_others = ["anthropic", "openai"]
        .iter()
        .any(|provider| spec["upstreams"][provider]["url"].is_string());
    let is_served = serves_others || JUDGES.iter().any(|start| model.starts_with(start));
    if !is_served {
        let allowed = "a model of Anthropic (claude-…) or OpenAI (gpt-…, o1, o3, o4…), or with spec.upstreams.*.url set any \
                       model served there";
        let fix = "name a model of the provider whose requests it judges";
        problems.push(path, Some(value), "is a model of another provider", allowed, fix);
    }
}

fn check_url(value: &Value, path: &str, problems: &mut Problems<'_>) {
    let Some(url) = value.as_str().filter(|_| !problems.touches(path)) else {
        return;
    };
    let is_address = url
        .parse::<http::Uri>()
        .is_ok_and(|uri| uri.authority().is_some_and(has_host_and_port));
    if !is_address {
        let allowed = "an http or https address with a host and a port from 1 to 65535";
        let fix = "write the base URL as the SDK takes it";
        problems.push(path, Some(value), "is no address", allowed, fix);
    }
}

fn has_host_and_port(authority: &http::uri::Authority) -> bool {
    let host = authority.host();
    let is_host = host.starts_with('[')
        || (!host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)));
    let after_host = &authority.as_str()[host.len()..];
    is_host && (after_host.is_empty() || authority.port_u16().is_some_and(|port| port > 0))
}

fn check_certificates(value: &Value, path: &str, problems: &mut Problems<'_>) {
    let Some(pem) = value.as_str().filter(|_| !problems.touches(path)) else {
        return;
    };
    let mut certificates = pem.split(PEM_START).skip(1).peekable();
    let is_bundle = certificates.peek().is_some()
        && certificates.all(|rest| rest.split_once(PEM_END).is_some_and(|(body, _)| is_der(body)));
    if !is_bundle {
        let allowed = "one or more PEM blocks of type CERTIFICATE";
        let fix = "write the certificate as a block of lines after caBundle: |";
        problems.push(path, Some(value), "holds no readable certificate", allowed, fix);
    }
}

/// Whether base64 text is a DER sequence, as every certificate is.
fn is_der(base64: &str) -> bool {
    let compact: String = base64.split_ascii_whitespace().collect();
    STANDARD.decode(compact).is_ok_and(|der| der.first() == Some(&0x30))
}

fn check_labels(selector: &Value, problems: &mut Problems<'_>) {
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        let path = format!("spec.selector.matchLabels.{key}");
        check_label(&Value::from(key.as_str()), value, &path, problems);
    }
    let expressions = selector["matchExpressions"].as_array();
    for (index, expression) in expressions.into_iter().flatten().enumerate() {
        let path = format!("spec.selector.matchExpressions[{index}]");
        let key = &expression["key"];
        check_label(key, &Value::from(""), &format!("{path}.key"), problems);
        for (index, value) in expression["values"].as_array().into_iter().flatten().enumerate() {
            let path = format!("{path}.values[{index}]");
            check_label(&Value::from("a"), value, &path, problems);
        }
    }
}

fn check_label(key: &Value, value: &Value, path: &str, problems: &mut Problems<'_>) {
    let (Some(key_text), Some(value_text)) = (key.as_str(), value.as_str()) else {
        return;
    };
    if problems.touches(path) {
        return;
    }
    let (prefix, name) = key_text.rsplit_once('/').unwrap_or(("a", key_text));
    let is_prefix = prefix.len() <= 253 && prefix.split('.').all(|part| is_word(part, "-"));
    if !is_prefix || name.len() > 63 || !is_word(name, "-_.") {
        let allowed = "a label key: at most 63 letters, digits, -, _ and ., after an optional DNS prefix and /";
        problems.push(path, Some(key), "is no label key", allowed, "correct the key");
    }
    if !value_text.is_empty() && (value_text.len() > 63 || !is_word(value_text, "-_.")) {
        let allowed = "a label value: at most 63 letters, digits, -, _ and ., first and last a letter or digit";
        problems.push(path, Some(value), "is no label value", allowed, "correct the value");
    }
}

fn is_word(text: &str, inner: &str) -> bool {
    let is_outer = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(is_outer) && text.ends_with(is_outer) && text.chars().all(|c| is_outer(c) || inner.contains(c))
}
