//! One certificate and what the plan asks of it.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::Error;

/// A certificate that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate itself.
    pub der: CertificateDer<'static>,
    /// Good from then on; our own say one hour before they were made.
    pub not_before: SystemTime,
    /// Good until then.
    pub not_after: SystemTime,
    /// Its DNS names.
    pub names: Vec<String>,
    /// Whether it may sign others.
    pub is_authority: bool,
    pub(super) public_key: Vec<u8>,
}

impl Certificate {
    /// Reads one.
    pub fn read(der: &CertificateDer<'static>) -> Result<Self, Error> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| Error::Unreadable(error.to_string()))?;
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        Ok(Self {
            not_before: moment(parsed.validity().not_before),
            not_after: moment(parsed.validity().not_after),
            names: names.collect(),
            is_authority: parsed.is_ca(),
            public_key: parsed.public_key().raw.to_vec(),
            der: der.clone(),
        })
    }

    /// Whether its dates hold.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Whether two thirds of its time are over.
    pub fn is_due_at(&self, now: SystemTime) -> bool {
        let whole = self.not_after.duration_since(self.not_before).unwrap_or_default();
        now >= self.not_before + whole / 3 * 2
    }

    /// How long it is still good; zero once it is not.
    pub fn remaining_at(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }
}

fn moment(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
