//! Stage *scope*: who may share an answer.

use serde::{Deserialize, Serialize};

/// The boundary within which answers may be shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Who shares.
    pub share: Share,
    /// Whether end users named in requests are told apart.
    pub end_users: EndUsers,
    /// Header (lower case) whose value is part of the scope; absent from a request = no caching.
    pub tenant_header: Option<String>,
}

/// Who shares answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    /// Requests with the same provider credential.
    Credential,
    /// Pods of one service account.
    ServiceAccount,
    /// Pods of one namespace.
    Namespace,
}

/// Whether end users are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndUsers {
    /// Each end user has answers of their own.
    Separate,
    /// All end users share.
    Shared,
}
