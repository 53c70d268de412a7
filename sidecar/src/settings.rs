//! What a pod tells its sidecar, by environment variables. Nothing in it is fatal: what cannot be used is left out or
//! replaced by its default, and said.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use llmcache_policy::{duration, names};
use tracing_subscriber::filter::LevelFilter;

use crate::account::PriceTable;
use crate::embedder::MODEL_DIR;
use crate::memory;
use crate::own_upstream::OwnUpstreams;
use crate::push::Operator;

/// Everything a sidecar in a pod is started with.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Port of the proxy, on loopback.
    pub proxy: SocketAddr,
    /// Port of `/livez`, `/readyz` and `/metrics`, on all addresses.
    pub admin: SocketAddr,
    /// The operator; none = no policy ever comes.
    pub operator: Option<Operator>,
    /// Folder of what outlives the process.
    pub state: PathBuf,
    /// The app's own base URLs.
    pub own: OwnUpstreams,
    /// The pod's service account.
    pub service_account: String,
    /// Prices the ledger counts with.
    pub prices: PriceTable,
    /// Bytes of memory that the container may take; none = no limit is known.
    pub memory_limit: Option<usize>,
    /// Folder of the semantic cache's model; none = that layer is off.
    pub model: Option<PathBuf>,
    /// How long open requests may finish after SIGTERM.
    pub grace: Duration,
    /// Least important log line.
    pub log_level: LevelFilter,
    /// What could not be used, one sentence each with the fix.
    pub problems: Vec<String>,
}

/// Folder of what outlives the process. Default [`names::STATE_FOLDER`].
const STATE: &str = "LLMCACHE_STATE_DIR";
/// File of the token. Default `token` in [`names::TOKEN_FOLDER`].
const TOKEN: &str = "LLMCACHE_TOKEN_FILE";
/// How long open requests may finish after SIGTERM; the pod's own grace period is over them all. Default 30s.
const GRACE: &str = "LLMCACHE_GRACE";
/// Bytes, where the container's cgroup does not say.
const MEMORY_LIMIT: &str = "LLMCACHE_MEMORY_LIMIT";
/// A silent connection to the operator is asked after this time whether it lives. Default 10s.
const PING_AFTER: &str = "LLMCACHE_PUSH_PING_AFTER";
/// How long it has to answer. Default 5s.
const PING_TIMEOUT: &str = "LLMCACHE_PUSH_PING_TIMEOUT";
/// Time of only lower generations after which one is applied. Default 1m.
const REGRESS_AFTER: &str = "LLMCACHE_REGRESS_AFTER";

impl Settings {
    /// Reads this process's environment.
    pub(crate) fn from_env() -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Environment(environment).settings()
    }
}

struct Environment(Vec<(String, String)>);

impl Environment {
    fn settings(&self) -> Settings {
        let mut problems = Vec::new();
        let admin = self.port(names::ENV_ADMIN_PORT, names::ADMIN_PORT, &mut problems);
        let proxy = self.port(names::ENV_PROXY_PORT, names::PROXY_PORT, &mut problems);
        let memory_limit = self.get(MEMORY_LIMIT).and_then(|text| text.parse().ok());
        Settings {
            proxy: (Ipv4Addr::LOCALHOST, proxy).into(),
            admin: (IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED), admin).into(),
            operator: self.operator(&mut problems),
            state: self.path(STATE).unwrap_or_else(|| names::STATE_FOLDER.into()),
            own: OwnUpstreams::read(&self.0, &mut problems),
            service_account: self.service_account(&mut problems),
            prices: self.prices(&mut problems),
            memory_limit: memory_limit.or_else(memory::container_limit),
            model: self.path(MODEL_DIR),
            grace: self.duration(GRACE, Duration::from_secs(30), &mut problems),
            log_level: self.log_level(&mut problems),
            problems,
        }
    }

    /// Set and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        let set = self.0.iter().find(|(set, _)| set == name);
        set.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The shipped prices with the install's own rows; all of these, or none.
    fn prices(&self, problems: &mut Vec<String>) -> PriceTable {
        let Some(rows) = self.get(names::ENV_PRICES) else {
            return PriceTable::builtin();
        };
        PriceTable::builtin().with_overrides(rows).unwrap_or_else(|wrong| {
            let name = names::ENV_PRICES;
            problems.push(format!("{name}: {}; the shipped prices are used", wrong.join(", ")));
            PriceTable::builtin()
        })
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    fn port(&self, name: &str, default: u16, problems: &mut Vec<String>) -> u16 {
        let Some(text) = self.get(name) else { return default };
        text.parse().unwrap_or_else(|_| {
            problems.push(format!(
                "{name}: {text} is no port, give 1024 to 65535; {default} is used"
            ));
            default
        })
    }

    fn duration(&self, name: &str, default: Duration, problems: &mut Vec<String>) -> Duration {
        let Some(text) = self.get(name) else { return default };
        duration::parse(text).unwrap_or_else(|| {
            problems.push(format!(
                "{name}: {text} is no duration, write it like 30s; {default:?} is used"
            ));
            default
        })
    }

    fn log_level(&self, problems: &mut Vec<String>) -> LevelFilter {
        match self.get(names::ENV_LOG_LEVEL) {
            None | Some("info") => LevelFilter::INFO,
            Some("error") => LevelFilter::ERROR,
            Some("warn") => LevelFilter::WARN,
            Some("debug") => LevelFilter::DEBUG,
            Some("trace") => LevelFilter::TRACE,
            Some(other) => {
                let name = names::ENV_LOG_LEVEL;
                problems.push(format!(
                    "{name}: {other} is no level, give error, warn, info, debug or trace; info is used"
                ));
                LevelFilter::INFO
            }
        }
    }

    /// Without its name the pod shares with no other rather than with every account of the namespace.
    fn service_account(&self, problems: &mut Vec<String>) -> String {
        let name = names::ENV_SERVICE_ACCOUNT;
        self.get(name).map_or_else(
            || {
                problems.push(format!("{name} is not set: nothing is shared by service account"));
                let random = getrandom::u64().unwrap_or_else(|_| std::process::id().into());
                format!("unknown-{random:x}")
            },
            str::to_owned,
        )
    }

    fn operator(&self, problems: &mut Vec<String>) -> Option<Operator> {
        let name = names::ENV_OPERATOR;
        let Some(text) = self.get(name) else {
            problems.push(format!(
                "{name} is not set: no policy will come; it is set at injection"
            ));
            return None;
        };
        let url: Option<Uri> = text.parse().ok();
        let url = url.filter(|url| url.scheme_str() == Some("https") && url.host().is_some());
        let Some(url) = url else {
            problems.push(format!("{name}: is not https://HOST:PORT; no policy will come"));
            return None;
        };
        Some(Operator {
            url,
            ca: self.get(names::ENV_CA).unwrap_or_default().to_owned(),
            token: self
                .path(TOKEN)
                .unwrap_or_else(|| PathBuf::from(names::TOKEN_FOLDER).join("token")),
            ping_after: self.duration(PING_AFTER, Duration::from_secs(10), problems),
            ping_timeout: self.duration(PING_TIMEOUT, Duration::from_secs(5), problems),
            regress_after: self.duration(REGRESS_AFTER, Duration::from_mins(1), problems),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Environment(pairs.collect()).settings()
    }

    #[test]
    fn what_injection_sets_is_used() {
        let settings = settings(&[
            (
                "LLMCACHE_OPERATOR",
                "https://llmcache-operator.llmcache-system.svc:15443",
            ),
            ("LLMCACHE_CA", "PEM"),
            ("LLMCACHE_PROXY_PORT", "16000"),
            ("LLMCACHE_SERVICE_ACCOUNT", "chat"),
            ("LLMCACHE_LOG_LEVEL", "debug"),
        ]);
        assert_eq!(settings.problems, Vec::<String>::new());
        assert_eq!(settings.proxy.to_string(), "127.0.0.1:16000");
        assert_eq!(settings.admin.port(), 15_490);
        assert_eq!(settings.service_account, "chat");
        assert_eq!(settings.log_level, LevelFilter::DEBUG);
        let operator = settings.operator.unwrap();
        assert_eq!(operator.url.port_u16(), Some(15_443));
        assert_eq!(operator.token, PathBuf::from("/var/run/llmcache/token/token"));
    }

    #[test]
    fn the_installs_price_rows_are_used_whole_or_not_at_all() {
        let row = r#"{"provider": "anthropic", "id": "own-model", "input": 1, "output": 2}"#;
        let good = settings(&[("LLMCACHE_PRICE_ROWS", &format!(r#"{{"rows": [{row}]}}"#))]);
        let about_prices = |settings: &Settings| {
            let mut problems = settings.problems.iter();
            problems
                .find(|problem| problem.starts_with("LLMCACHE_PRICE_ROWS"))
                .cloned()
        };
        assert_eq!(about_prices(&good), None);
        assert!(format!("{:?}", good.prices).contains("own-model"));
        let bad = settings(&[("LLMCACHE_PRICE_ROWS", &format!(r#"{{"rows": [{row}, {{"id": 7}}]}}"#))]);
        let said = about_prices(&bad).unwrap();
        assert!(
            said.contains("rows[1]") && said.ends_with("the shipped prices are used"),
            "{said}"
        );
        assert!(!format!("{:?}", bad.prices).contains("own-model"));
    }

    #[test]
    fn nothing_wrong_is_fatal_and_all_of_it_is_said() {
        let settings = settings(&[
            ("LLMCACHE_OPERATOR", "http://plain:1"),
            ("LLMCACHE_PROXY_PORT", "many"),
            ("LLMCACHE_ADMIN_PORT", "70000"),
            ("LLMCACHE_LOG_LEVEL", "loud"),
            ("LLMCACHE_GRACE", "soon"),
        ]);
        assert_eq!(settings.proxy.port(), 15_480);
        assert_eq!(settings.admin.port(), 15_490);
        assert!(settings.operator.is_none());
        assert_eq!(settings.problems.len(), 6, "{:?}", settings.problems);
    }
}
