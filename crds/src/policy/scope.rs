//! Stage *scope*: who may share an answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text;

/// The boundary within which answers may be shared.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// Who shares: requests with the same provider `Credential`, pods of one `ServiceAccount`, or of one `Namespace`.
    /// Default: `Credential`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Whether end users named in requests (`user`, `metadata.user_id`, `safety_identifier`) have answers of their own.
    /// Default: `Separate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_users: Option<EndUsers>,
    /// Request header whose value is part of the scope; a request without it is neither answered from a cache nor stored.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = text::HEADER))]
    pub tenant_header: Option<String>,
}

/// Who shares answers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum Share {
    /// Requests with the same provider credential.
    Credential,
    /// Pods of one service account.
    ServiceAccount,
    /// Pods of one namespace.
    Namespace,
}

/// Whether end users are told apart.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum EndUsers {
    /// Each end user has answers of their own.
    Separate,
    /// All end users share.
    Shared,
}
