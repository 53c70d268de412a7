//! JSON taken apart only as far as needed: every number, string and unknown value keeps its text as written.
//!
//! Strings are joined in their escaped form, which is exact because an escape never spans two literals.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object's members in order, duplicates included; names decoded, values as written.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

/// A JSON value under construction.
#[derive(Clone, Debug)]
pub(crate) enum Node<'a> {
    /// A value as written.
    Raw(Cow<'a, str>),
    /// A string's escaped content, without its quotes.
    Text(String),
    /// Members in order.
    Object(Vec<(Cow<'a, str>, Self)>),
    /// Elements in order.
    List(Vec<Self>),
}

struct MembersVisitor;

/// Borrowed where the name has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Members<'a> {
    /// Reads an object; `None` for anything else.
    pub(crate) fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// The value of a member, the last of duplicates as JSON readers have it; null counts as absent.
    pub(crate) fn find(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| *value).filter(|value| value.get() != "null")
    }

    /// The values of members that are there once each, in the order named; `None` when one is absent or repeated.
    pub(crate) fn once<const N: usize>(&self, names: [&str; N]) -> Option<[&'a RawValue; N]> {
        let mut found = Vec::with_capacity(N);
        for name in names {
            found.push(self.find(name).filter(|_| !self.repeats(name))?);
        }
        found.try_into().ok()
    }

    /// Whether a member of this name stands there more than once.
    pub(crate) fn repeats(&self, name: &str) -> bool {
        self.0.iter().filter(|(key, _)| key == name).count() > 1
    }

    /// A member's decoded text, if it is a string.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.find(name).and_then(text)
    }
}

impl<'a> Node<'a> {
    /// The value as written.
    pub(crate) fn raw(value: &'a RawValue) -> Self {
        Self::Raw(Cow::Borrowed(value.get()))
    }

    /// JSON text that is already valid.
    pub(crate) fn json(value: impl Into<Cow<'a, str>>) -> Self {
        Self::Raw(value.into())
    }

    /// An object opened by one level, anything else as written.
    pub(crate) fn open(value: &'a RawValue) -> Self {
        Members::read(value).map_or_else(|| Self::raw(value), Self::from)
    }

    pub(crate) fn find(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let found = members.iter_mut().rev().find(|(key, _)| key == name);
        found.map(|(_, node)| node)
    }

    /// Replaces a member in place or appends it; does nothing on anything but an object.
    pub(crate) fn set(&mut self, name: impl Into<Cow<'a, str>>, node: Self) {
        let name = name.into();
        if let Some(member) = self.find(&name) {
            *member = node;
        } else if let Self::Object(members) = self {
            members.push((name, node));
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Self::Object(members) = self {
            members.retain(|(key, _)| key != name);
        }
    }

    /// Joins a string literal's content to this string; a null or absent string starts empty.
    ///
    /// `None` when either is no string.
    pub(crate) fn append(&mut self, literal: &RawValue) -> Option<()> {
        let content = content(literal)?;
        match self {
            Self::Text(text) => text.push_str(content),
            Self::Raw(raw) => {
                let earlier = if raw == "null" {
                    ""
                } else {
                    raw.strip_prefix('"')?.strip_suffix('"')?
                };
                *self = Self::Text([earlier, content].concat());
            }
            Self::Object(_) | Self::List(_) => return None,
        }
        Some(())
    }

    /// This value's elements, opening a list as written; a null starts empty. `None` for anything else.
    pub(crate) fn list(&mut self) -> Option<&mut Vec<Self>> {
        if let Self::Raw(raw) = self {
            *self = Self::List(elements(raw)?);
        }
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Raw(raw) => out.push_str(raw),
            Self::Text(text) => {
                out.push('"');
                out.push_str(text);
                out.push('"');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, node)) in members.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    out.push_str(&quote(name));
                    out.push(':');
                    node.write(out);
                }
                out.push('}');
            }
            Self::List(list) => {
                out.push('[');
                for (at, node) in list.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    node.write(out);
                }
                out.push(']');
            }
        }
    }

    pub(crate) fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

impl<'a> From<Members<'a>> for Node<'a> {
    fn from(members: Members<'a>) -> Self {
        let members = members.0.into_iter();
        Self::Object(members.map(|(name, value)| (name, Self::raw(value))).collect())
    }
}

impl<'a> From<&Members<'a>> for Node<'a> {
    fn from(members: &Members<'a>) -> Self {
        let members = members.0.iter();
        Self::Object(members.map(|(name, value)| (name.clone(), Self::raw(value))).collect())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

/// A string's decoded text; `None` for anything else and for lone surrogates.
pub(crate) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// A string's escaped content, without its quotes; `None` for anything else.
pub(crate) fn content(value: &RawValue) -> Option<&str> {
    value.get().strip_prefix('"')?.strip_suffix('"')
}

/// An array's elements as written; `None` for anything else.
pub(crate) fn items(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// Where a value lies in the text it was read from.
pub(crate) fn range(text: &[u8], value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + value.get().len()
}

/// True for what holds nothing a reader would see: null, `""`, `[]`, `{}`.
pub(crate) fn is_blank(value: Option<&RawValue>) -> bool {
    let Some(value) = value else { return true };
    let mut significant = value.get().bytes().filter(|byte| !byte.is_ascii_whitespace());
    matches!(value.get(), "null" | "\"\"")
        || matches!(
            (significant.next(), significant.next(), significant.next()),
            (Some(b'['), Some(b']'), None) | (Some(b'{'), Some(b'}'), None)
        )
}

/// The JSON string literal of `text`.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn elements<'a>(raw: &Cow<'a, str>) -> Option<Vec<Node<'a>>> {
    if raw == "null" {
        return Some(Vec::new());
    }
    match raw {
        Cow::Borrowed(raw) => {
            let items: Vec<&'a RawValue> = serde_json::from_str(raw).ok()?;
            Some(items.into_iter().map(Node::raw).collect())
        }
        Cow::Owned(raw) => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
            let owned = items.into_iter();
            Some(owned.map(|item| Node::json(item.get().to_owned())).collect())
        }
    }
}
