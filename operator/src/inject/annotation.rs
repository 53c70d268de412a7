//! What a pod may choose by annotation; an invalid value is a warning and the default holds.

use llmcache_policy::names::{
    ADMIN_PORT, ANNOTATION_ADMIN_PORT, ANNOTATION_LOG_LEVEL, ANNOTATION_PROXY_PORT, ANNOTATION_RESOURCES, PROXY_PORT,
};
use serde_json::Value;

use super::Settings;
use super::read::{annotation, quoted};
use super::resources::Resources;

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// The first port that needs no privilege.
const LOWEST_PORT: u16 = 1024;

/// What holds for one pod.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) proxy_port: u16,
    pub(super) admin_port: u16,
    pub(super) log_level: String,
    pub(super) resources: Resources,
}

/// The pod's choices over the install's.
pub(super) fn choose(pod: &Value, settings: &Settings, warnings: &mut Vec<String>) -> Choice {
    let (proxy_port, admin_port) = ports(pod, warnings);
    Choice {
        proxy_port,
        admin_port,
        log_level: log_level(pod, warnings).unwrap_or_else(|| settings.log_level.clone()),
        resources: resources(pod, settings, warnings),
    }
}

fn ports(pod: &Value, warnings: &mut Vec<String>) -> (u16, u16) {
    let proxy = port(pod, ANNOTATION_PROXY_PORT, PROXY_PORT, warnings);
    let admin = port(pod, ANNOTATION_ADMIN_PORT, ADMIN_PORT, warnings);
    if proxy == admin {
        warnings.push(format!(
            "annotations {ANNOTATION_PROXY_PORT} and {ANNOTATION_ADMIN_PORT}: both ports would be {proxy}; \
             using {PROXY_PORT} and {ADMIN_PORT}, write two different ports"
        ));
        return (PROXY_PORT, ADMIN_PORT);
    }
    (proxy, admin)
}

fn port(pod: &Value, name: &str, default: u16, warnings: &mut Vec<String>) -> u16 {
    let Some(word) = annotation(pod, name) else {
        return default;
    };
    let is_plain = word.bytes().all(|b| b.is_ascii_digit());
    match word.parse() {
        Ok(port) if is_plain && port >= LOWEST_PORT => port,
        _ => {
            let word = quoted(word);
            warnings.push(format!(
                "annotation {name}: {word} is no port of 1024 to 65535; using {default}"
            ));
            default
        }
    }
}

fn log_level(pod: &Value, warnings: &mut Vec<String>) -> Option<String> {
    let word = annotation(pod, ANNOTATION_LOG_LEVEL)?;
    if LEVELS.contains(&word) {
        return Some(word.to_owned());
    }
    let (word, levels) = (quoted(word), LEVELS.join(", "));
    warnings.push(format!(
        "annotation {ANNOTATION_LOG_LEVEL}: {word} is none of {levels}; using the install's"
    ));
    None
}

fn resources(pod: &Value, settings: &Settings, warnings: &mut Vec<String>) -> Resources {
    // An install that states one of the two keeps the default of the other.
    let default = Resources::default().overlaid(settings.resources.clone());
    let Some(word) = annotation(pod, ANNOTATION_RESOURCES) else {
        return default;
    };
    match Resources::parse(word) {
        Ok(chosen) => default.overlaid(chosen),
        Err(problem) => {
            warnings.push(format!(
                "annotation {ANNOTATION_RESOURCES}: {problem}; using the install's, write \"cpu=20m/1,memory=64Mi/256Mi\""
            ));
            default
        }
    }
}
