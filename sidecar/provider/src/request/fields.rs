//! Reading an object's members into a typed struct that a later `let` can take apart field by field.

/// Declares a view's fields, all optional, and its constructor from the document's root.
macro_rules! fields {
    ($(#[$meta:meta])* $name:ident { $($field:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(crate) struct $name {
            $($field: Option<$crate::json::NodeId>,)*
            unknown: Vec<($crate::json::NodeId, $crate::json::NodeId)>,
        }

        impl $name {
            fn fields(document: &$crate::json::Document) -> Result<Self, $crate::request::Opaque> {
                let mut fields = Self::default();
                for (name, value) in document.members(document.root()) {
                    match document.text(name).as_deref() {
                        $(Some(stringify!($field)) => {
                            if fields.$field.replace(value).is_some() {
                                return Err($crate::request::Opaque::Duplicate(stringify!($field)));
                            }
                        })*
                        _ => fields.unknown.push((name, value)),
                    }
                }
                Ok(fields)
            }
        }
    };
}

pub(super) use fields;
