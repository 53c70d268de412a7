//! A view's fields, each declared with whether it is in the key, and how their values are read.
//!
//! The macro takes the struct apart without `..` and demands a reason for each field left out, so a new field does
//! not compile until somebody has decided where it belongs.

use crate::json::{Document, Kind, NodeId};

/// Declares the fields of a request's top level: those in the key with what is left out inside them, then those
/// that are not, each with its reason.
macro_rules! fields {
    (
        in_key { $($key:ident: $leave:ident),* $(,)? }
        not_in_key { $($(#[doc = $why:literal])+ $out:ident),* $(,)? }
    ) => {
        /// The top level of a request.
        #[derive(Debug, Default)]
        struct Fields {
            $($key: Option<$crate::json::NodeId>,)*
            $($(#[doc = $why])+ $out: Option<$crate::json::NodeId>,)*
            /// Members of other names: the request has no key, or its caller writes them.
            unknown: Vec<($crate::json::NodeId, $crate::json::NodeId)>,
        }

        impl Fields {
            fn read(document: &$crate::json::Document) -> Result<Self, $crate::request::Opaque> {
                let mut fields = Self::default();
                for (name, value) in document.members(document.root()) {
                    let (field, name) = match document.text(name).as_deref() {
                        $(Some(stringify!($key)) => (&mut fields.$key, stringify!($key)),)*
                        $(Some(stringify!($out)) => (&mut fields.$out, stringify!($out)),)*
                        _ => {
                            fields.unknown.push((name, value));
                            continue;
                        }
                    };
                    if field.replace(value).is_some() {
                        return Err($crate::request::Opaque::Duplicate(name));
                    }
                }
                Ok(fields)
            }

            fn in_key(&self) -> Vec<(&'static str, Option<$crate::json::NodeId>, $crate::request::Leave)> {
                let Self { $($key,)* $($out: _,)* unknown: _ } = self;
                vec![$((stringify!($key), *$key, $crate::request::Leave::$leave)),*]
            }
        }
    };
}

pub(super) use fields;

/// A field's value unless it is absent or `null`.
pub(super) fn given(document: &Document, field: Option<NodeId>) -> Option<NodeId> {
    field.filter(|node| document.kind(*node) != Kind::Null)
}

/// Whether a field is `true`.
pub(super) fn is_true(document: &Document, field: Option<NodeId>) -> bool {
    field.is_some_and(|node| document.kind(node) == Kind::True)
}

/// The decoded string of an object's member; the object may itself be an absent field.
pub(super) fn word(document: &Document, object: impl Into<Option<NodeId>>, member: &str) -> Option<String> {
    let text = document.text(document.member(object.into()?, member)?)?;
    Some(text.into_owned())
}
