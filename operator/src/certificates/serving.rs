//! The certificate in use: swapped whole, only for one that clients take, and kept when the next is no good.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::Error;
use super::authority::{Leaf, LeafTerms};
use super::metrics::Metrics;
use super::stored::Stored;

/// What the TLS servers show and what their clients trust; shared by all of them.
#[derive(Debug)]
pub struct ServingCertificate {
    name: String,
    shown: ArcSwapOption<Shown>,
    bundle: watch::Sender<Option<Arc<str>>>,
    metrics: Metrics,
}

/// Why a Secret's content is not put to use.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// A part is absent or torn, or key and certificate do not belong together.
    #[error("ca.crt, tls.crt and tls.key of the Secret must be PEM, and the key must be that of the certificate")]
    Unreadable,
    /// A client that trusts `ca.crt` would refuse `tls.crt`.
    #[error("tls.crt is not taken by clients that trust ca.crt and call {name:?}: {source}")]
    Untrusted {
        /// The name that clients use.
        name: String,
        /// What a client would say.
        source: rustls::Error,
    },
}

#[derive(Debug)]
struct Shown {
    stored: Stored,
    key: Arc<CertifiedKey>,
}

impl ServingCertificate {
    /// Nothing yet; handshakes fail until the first Secret is taken. The name is the one that clients verify.
    pub fn new(name: &str, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            shown: ArcSwapOption::empty(),
            bundle: watch::Sender::new(None),
            metrics,
        })
    }

    /// Whether there is something to show.
    pub fn is_ready(&self) -> bool {
        self.shown.load().is_some()
    }

    /// What clients trust, as PEM; `None` until the first Secret is taken.
    pub fn bundle_pem(&self) -> Option<Arc<str>> {
        self.bundle.borrow().clone()
    }

    /// Changes of what clients trust, the present one first.
    pub fn bundle(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.bundle.subscribe()
    }

    /// Signs a certificate for another server of the install, by the authority that clients trust.
    pub fn issue_leaf(&self, now: SystemTime, terms: &LeafTerms) -> Result<Leaf, Error> {
        let shown = self.shown.load();
        let authority = shown.as_ref().and_then(|shown| shown.stored.authority.as_ref());
        authority.ok_or(Error::NoAuthority)?.issue(now, terms)
    }

    /// Whether clients still take such a certificate for its first name, and two thirds of its time are not over.
    pub fn approves(&self, now: SystemTime, leaf: &Leaf, terms: &LeafTerms) -> bool {
        let shown = self.shown.load();
        let bundle = shown.as_ref().map(|shown| shown.stored.bundle.as_slice());
        let has_names = terms.names.iter().all(|name| leaf.certificate.names.contains(name));
        let name = terms.names.first().map_or("", String::as_str);
        has_names && !leaf.certificate.is_due_at(now) && leaf.verify(bundle.unwrap_or_default(), name, now).is_ok()
    }

    /// Puts a Secret's content to use, if clients would take it.
    pub fn take(&self, now: SystemTime, stored: &Stored) -> Result<(), Rejection> {
        if self.shown.load().as_ref().is_some_and(|shown| shown.stored == *stored) {
            return Ok(());
        }
        let key = self.check(now, stored).inspect_err(|rejection| {
            self.metrics.reject(rejection.reason());
        })?;
        let bundle: Arc<str> = stored.bundle_pem().into();
        self.shown.store(Some(Arc::new(Shown {
            stored: stored.clone(),
            key,
        })));
        self.bundle.send_if_modified(|current| {
            let is_news = current.as_ref() != Some(&bundle);
            *current = Some(bundle);
            is_news
        });
        Ok(())
    }

    /// What was taken last.
    pub(super) fn stored(&self) -> Option<Stored> {
        self.shown.load().as_ref().map(|shown| shown.stored.clone())
    }

    /// Tells how long what is shown is still good.
    pub(super) fn measure(&self, now: SystemTime) {
        let shown = self.shown.load();
        let Some(stored) = shown.as_ref().map(|shown| &shown.stored) else {
            return;
        };
        if let Some(serving) = &stored.serving {
            self.metrics
                .expire("serving", seconds(now, serving.certificate.not_after));
        }
        let anchor = stored.anchor(&self.name, now).or_else(|| stored.bundle.first());
        if let Some(anchor) = anchor {
            self.metrics.expire("ca", seconds(now, anchor.not_after));
        }
    }

    fn check(&self, now: SystemTime, stored: &Stored) -> Result<Arc<CertifiedKey>, Rejection> {
        let serving = stored.serving.as_ref().filter(|_| !stored.bundle.is_empty());
        let serving = serving.ok_or(Rejection::Unreadable)?;
        stored.verify(&self.name, now).map_err(|source| Rejection::Untrusted {
            name: self.name.clone(),
            source,
        })?;
        let key = serving.certified_key().map_err(|_| Rejection::Unreadable)?;
        Ok(Arc::new(key))
    }
}

impl Rejection {
    /// The label of the metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Untrusted { .. } => "untrusted",
        }
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown.load().as_ref().map(|shown| shown.key.clone())
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of centuries fit a double")]
fn seconds(now: SystemTime, until: SystemTime) -> f64 {
    match until.duration_since(now) {
        Ok(left) => left.as_secs() as f64,
        Err(over) => -(over.duration().as_secs() as f64),
    }
}
