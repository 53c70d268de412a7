//! How each store class is entered, by sidecars and by the operator. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use llmcache_policy::{NamespaceKey, push};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::Values;
use crate::settings::{Login, Mode, Qdrant, Redis, Settings};

/// What the Secrets of store classes say at one moment.
#[derive(Clone, Default, PartialEq)]
pub struct StoreBook {
    settings: Option<Arc<Settings>>,
    namespace: String,
    secrets: BTreeMap<String, Values>,
}

/// A Redis as the operator enters it, to keep users there.
#[derive(Clone, PartialEq, Eq)]
pub struct Admin {
    /// How its servers are found.
    pub mode: Mode,
    /// `host:port` of the server, of each Sentinel, or of some servers of the Cluster.
    pub addresses: Vec<String>,
    /// Name of the master that the Sentinels watch.
    pub master: Option<String>,
    /// Whether connections are encrypted.
    pub is_tls: bool,
    /// PEM certificates to trust; none = the system's roots.
    pub ca: Option<Vec<u8>>,
    /// User; none = the server's default one.
    pub user: Option<String>,
    /// Password, if it has one.
    pub password: Option<Zeroizing<String>>,
}

impl StoreBook {
    /// The book of settings and Secrets; `namespace` is the operator's own.
    pub fn new(settings: Arc<Settings>, namespace: &str, secrets: BTreeMap<String, Values>) -> Self {
        Self {
            settings: Some(settings),
            namespace: namespace.into(),
            secrets,
        }
    }

    /// What opens a class for the sidecars of a namespace; none where the class has no Redis or its Secrets are missing.
    pub fn redis_for(&self, class: &str, key: &NamespaceKey) -> Option<push::Redis> {
        let admin = self.admin(class)?;
        let login = match self.redis(class)?.credentials {
            Login::PerNamespace => Some((Some(key.redis_user()), key.redis_password())),
            Login::Shared => admin.password.clone().map(|password| (admin.user.clone(), password)),
        };
        Some(push::Redis {
            url: admin.url(login.as_ref()),
            ca: admin.ca.unwrap_or_default(),
        })
    }

    /// What opens the class's index; none where it has none, or its Secret is missing.
    pub fn qdrant_for(&self, class: &str) -> Option<push::Qdrant> {
        let qdrant = self.settings.as_ref()?.store_classes.get(class)?.qdrant.as_ref()?;
        let api_key = self.api_key(qdrant).ok()?;
        Some(push::Qdrant {
            url: qdrant.url.clone(),
            api_key: api_key.map(|key| key.to_string()).unwrap_or_default(),
        })
    }

    /// How the operator enters a class; none where the class has no Redis or its Secrets are missing.
    pub fn admin(&self, class: &str) -> Option<Admin> {
        self.entrance(self.redis(class)?).ok()
    }

    /// Whether each namespace that uses a class has a user of its own there.
    pub fn is_per_namespace(&self, class: &str) -> bool {
        let redis = self.redis(class);
        redis.is_some_and(|redis| redis.credentials == Login::PerNamespace)
    }

    /// Names of the classes with a Redis.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        let settings = self.settings.iter();
        let classes = settings.flat_map(|settings| &settings.store_classes);
        classes
            .filter(|(_, class)| class.redis.is_some())
            .map(|(name, _)| name.as_str())
    }

    /// What is missing, one sentence for each class that cannot be used.
    pub fn problems(&self) -> Vec<String> {
        let classes = self.classes().filter_map(|name| Some((name, self.redis(name)?)));
        let wrong = classes.filter_map(|(name, redis)| Some((name, self.entrance(redis).err()?)));
        let wrong = wrong.map(|(name, problem)| format!("storeClasses.{name}.redis.{problem}"));
        wrong.chain(self.index_problems()).collect()
    }

    fn index_problems(&self) -> impl Iterator<Item = String> {
        let settings = self.settings.iter();
        let classes = settings.flat_map(|settings| &settings.store_classes);
        let indexes = classes.filter_map(|(name, class)| Some((name, class.qdrant.as_ref()?)));
        indexes.filter_map(|(name, qdrant)| {
            let problem = self.api_key(qdrant).err()?;
            Some(format!("storeClasses.{name}.qdrant.{problem}"))
        })
    }

    /// The key of an index; none where it is entered without one.
    fn api_key(&self, qdrant: &Qdrant) -> Result<Option<Zeroizing<String>>, String> {
        let Some(name) = &qdrant.secret_name else {
            return Ok(None);
        };
        let key = self.text("secretName", name, "apiKey")?;
        key.map(Some)
            .ok_or_else(|| missing("secretName", name, "apiKey", &self.namespace))
    }

    fn redis(&self, class: &str) -> Option<&Redis> {
        self.settings.as_ref()?.store_classes.get(class)?.redis.as_ref()
    }

    fn entrance(&self, redis: &Redis) -> Result<Admin, String> {
        let (mut user, mut password) = (None, None);
        if let Some(name) = &redis.secret_name {
            user = self.text("secretName", name, "username")?.map(|user| user.to_string());
            password = self.text("secretName", name, "password")?;
            if password.is_none() {
                return Err(missing("secretName", name, "password", &self.namespace));
            }
        }
        let ca = match &redis.tls.ca_secret {
            None => None,
            Some(name) => Some(
                // Never the system's roots instead: any of them could vouch for another server.
                self.value("tls.caSecret", name, "ca.crt")?
                    .ok_or_else(|| missing("tls.caSecret", name, "ca.crt", &self.namespace))?,
            ),
        };
        Ok(Admin {
            mode: redis.mode,
            addresses: redis.addresses.iter().map(|address| self.absolute(address)).collect(),
            master: redis.master.clone(),
            is_tls: redis.tls.enabled,
            ca: ca.map(|ca| ca.to_vec()),
            user,
            password,
        })
    }

    /// The value of a key; none where the Secret lacks it.
    fn value(&self, field: &str, name: &str, key: &str) -> Result<Option<&Zeroizing<Vec<u8>>>, String> {
        let secret = self.secrets.get(name);
        let secret = secret.ok_or_else(|| missing(field, name, key, &self.namespace))?;
        Ok(secret.get(key).filter(|value| !value.is_empty()))
    }

    /// The same as text, without the line end that `kubectl create secret --from-file` takes along.
    fn text(&self, field: &str, name: &str, key: &str) -> Result<Option<Zeroizing<String>>, String> {
        let Some(value) = self.value(field, name, key)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(value).map_err(|_| format!("{field}: key {key} of Secret {name} is no text"))?;
        Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// An address that is understood in every namespace: a bare name is a Service beside the operator.
    fn absolute(&self, address: &str) -> String {
        match address.rsplit_once(':') {
            Some((host, port)) if is_bare(host) => format!("{host}.{}.svc:{port}", self.namespace),
            _ => address.to_owned(),
        }
    }
}

fn is_bare(host: &str) -> bool {
    !host.contains(['.', ':', '[']) && host != "localhost"
}

fn missing(field: &str, name: &str, key: &str, namespace: &str) -> String {
    format!("{field}: Secret {name} with key {key} is not in namespace {namespace}; fix: create it")
}

impl Admin {
    /// The address as sidecars take it, with a login.
    fn url(&self, login: Option<&(Option<String>, Zeroizing<String>)>) -> String {
        let mut url = String::from(if self.is_tls { "rediss" } else { "redis" });
        url.push_str(match self.mode {
            Mode::Single => "",
            Mode::Sentinel => "+sentinel",
            Mode::Cluster => "+cluster",
        });
        url.push_str("://");
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        if let Some((user, password)) = login {
            let user = user.as_deref().map(encode).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = write!(url, "{user}:{}@", encode(password));
        }
        url.push_str(&self.addresses.join(","));
        if let Some(master) = &self.master {
            let _ = write!(url, "/{}", encode(master));
        }
        url
    }
}

impl fmt::Debug for StoreBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.secrets.keys().collect();
        f.debug_struct("StoreBook")
            .field("secrets", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
