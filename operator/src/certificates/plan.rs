//! What to do with the certificates now, from what the Secret holds alone.
//!
//! All dates are read from the certificates themselves, so that a missed week, a clock that jumps and a torn Secret all
//! lead to the same question: what is the next single write after which every client still trusts what is served?

use std::time::{Duration, SystemTime};

use super::Error;
use super::authority::{Authority, BACKDATED, Leaf, LeafTerms};
use super::stored::Stored;
use super::x509::Certificate;

#[cfg(test)]
mod tests;

const DAY: Duration = Duration::from_hours(24);

/// Certificates that clients trust at most; the bundle is written into every injected pod.
const LONGEST_BUNDLE: usize = 6;

/// How long things are good.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// Of an authority; default 365 days, a successor is announced at two thirds.
    pub authority: Duration,
    /// Of a leaf; default 30 days, replaced at two thirds.
    pub leaf: Duration,
    /// Between announcing an authority and signing by it, and from then to forgetting the old one; default 14 days.
    pub overlap: Duration,
    /// DNS names of the leaf.
    pub names: Vec<String>,
    /// The one of them that the API server and the sidecars call.
    pub called: String,
}

/// One write of the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Let clients trust a new authority next to what they trust.
    Announce,
    /// Start over: a new authority and a leaf of it at once, since nothing that is left can be served.
    Begin,
    /// Nothing is due.
    Keep,
    /// Let the announced authority sign.
    Promote,
    /// Make a new leaf.
    Sign,
    /// Trust the old authority no more.
    Withdraw,
}

impl Rotation {
    /// The defaults for a Service: every form of its name that a client in the cluster may use.
    pub fn of_service(service: &str, namespace: &str) -> Self {
        let called = format!("{service}.{namespace}.svc");
        Self {
            authority: 365 * DAY,
            leaf: 30 * DAY,
            overlap: 14 * DAY,
            names: vec![
                service.to_owned(),
                format!("{service}.{namespace}"),
                called.clone(),
                format!("{called}.cluster.local"),
            ],
            called,
        }
    }

    fn terms(&self) -> LeafTerms {
        LeafTerms {
            names: self.names.clone(),
            lifetime: self.leaf,
        }
    }
}

/// The next step.
pub fn plan(now: SystemTime, stored: &Stored, rotation: &Rotation) -> Step {
    let is_valid = |it: &&Authority| it.certificate.is_valid_at(now);
    let authority = stored.authority.as_ref().filter(is_valid);
    let next = stored.next.as_ref().filter(is_valid);
    let serving = stored
        .serving
        .as_ref()
        .filter(|leaf| is_servable(now, leaf, stored, rotation));
    match (authority, next, serving) {
        (Some(_), _, None) => Step::Sign,
        (None, Some(_), None) => Step::Promote,
        (None, None, None) => Step::Begin,
        (None, None, Some(_)) => Step::Announce,
        (Some(authority), None, _) if authority.certificate.is_due_at(now) => Step::Announce,
        (authority, Some(next), Some(leaf)) if now >= promotion(authority, next, leaf, rotation) => Step::Promote,
        (Some(authority), _, Some(leaf)) if is_due(now, leaf, authority, rotation) => Step::Sign,
        (Some(authority), None, Some(leaf)) if has_outdated(now, authority, stored, rotation) => {
            let is_ours = leaf.verify([&authority.certificate], &rotation.called, now).is_ok();
            if is_ours { Step::Withdraw } else { Step::Sign }
        }
        _ => Step::Keep,
    }
}

impl Step {
    /// What the Secret holds after the step.
    pub fn apply(self, now: SystemTime, stored: &Stored, rotation: &Rotation) -> Result<Stored, Error> {
        let mut after = stored.clone();
        match self {
            Self::Announce => after.next = Some(Authority::generate(now, rotation.authority)?),
            Self::Begin => {
                after.next = None;
                after.authority = Some(Authority::generate(now, rotation.authority)?);
            }
            Self::Promote => after.authority = after.next.take(),
            Self::Keep | Self::Sign => {}
            Self::Withdraw => {
                after.next = None;
                if after.authority.as_ref().is_some_and(|it| is_settled(now, it, rotation)) {
                    after.bundle.clear();
                }
            }
        }
        if matches!(self, Self::Begin | Self::Promote | Self::Sign) {
            let authority = after.authority.as_ref().ok_or(Error::NoAuthority)?;
            after.serving = Some(authority.issue(now, &rotation.terms())?);
        }
        after.bundle = bundle(now, &after);
        Ok(after)
    }
}

/// The signing authority first, its successor next, then whatever else clients may still need.
fn bundle(now: SystemTime, stored: &Stored) -> Vec<Certificate> {
    let ours = [&stored.authority, &stored.next].into_iter().flatten();
    let mut bundle: Vec<Certificate> = ours.map(|it| it.certificate.clone()).collect();
    for certificate in &stored.bundle {
        if certificate.is_authority && now < certificate.not_after && !bundle.contains(certificate) {
            bundle.push(certificate.clone());
        }
    }
    bundle.truncate(LONGEST_BUNDLE);
    bundle
}

fn is_servable(now: SystemTime, leaf: &Leaf, stored: &Stored, rotation: &Rotation) -> bool {
    let has_names = rotation.names.iter().all(|name| leaf.certificate.names.contains(name));
    has_names && leaf.verify(&stored.bundle, &rotation.called, now).is_ok()
}

/// When the announced authority begins to sign: after the overlap, or half way to the end of what signs or serves now.
fn promotion(authority: Option<&Authority>, next: &Authority, leaf: &Leaf, rotation: &Rotation) -> SystemTime {
    let announced = made(&next.certificate);
    let end = authority.map_or(leaf.certificate.not_after, |it| it.certificate.not_after);
    let half = end.duration_since(announced).unwrap_or_default() / 2;
    announced + rotation.overlap.min(half)
}

/// Whether the bundle holds what no client needs: it has expired, or its successor has signed for a whole overlap.
fn has_outdated(now: SystemTime, authority: &Authority, stored: &Stored, rotation: &Rotation) -> bool {
    let is_settled = is_settled(now, authority, rotation);
    let others = stored.bundle.iter().filter(|it| **it != authority.certificate);
    let mut others = others.filter(|it| is_settled || it.not_after <= now);
    others.next().is_some()
}

/// Whether what came before this authority may be forgotten.
fn is_settled(now: SystemTime, authority: &Authority, rotation: &Rotation) -> bool {
    now >= made(&authority.certificate) + 2 * rotation.overlap
}

/// Whether two thirds of the leaf's time are over, and a new one would be good for longer.
fn is_due(now: SystemTime, leaf: &Leaf, authority: &Authority, rotation: &Rotation) -> bool {
    let end = (now + rotation.leaf).min(authority.certificate.not_after);
    leaf.certificate.is_due_at(now) && end > leaf.certificate.not_after + BACKDATED
}

fn made(certificate: &Certificate) -> SystemTime {
    certificate.not_before + BACKDATED
}
