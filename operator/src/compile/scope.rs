//! Stage *scope*: who may share an answer.

use llmcache_crds::policy;
use llmcache_policy::{
    Scope,
    scope::{EndUsers, Share},
};

pub(super) fn compile(written: Option<&policy::Scope>) -> Scope {
    let share = written.and_then(|scope| scope.share);
    let end_users = written.and_then(|scope| scope.end_users);
    let tenant_header = written.and_then(|scope| scope.tenant_header.as_ref());
    Scope {
        share: match share {
            None | Some(policy::Share::Credential) => Share::Credential,
            Some(policy::Share::ServiceAccount) => Share::ServiceAccount,
            Some(policy::Share::Namespace) => Share::Namespace,
        },
        end_users: match end_users {
            None | Some(policy::EndUsers::Separate) => EndUsers::Separate,
            Some(policy::EndUsers::Shared) => EndUsers::Shared,
        },
        tenant_header: tenant_header.map(|name| name.to_ascii_lowercase()),
    }
}
