//! JSON as the tests see it: scalars and names as written, so that a spelling is never lost on the way.

use proptest::prelude::*;

use crate::json::{Document, Kind, NodeId, quote};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Scalar(String),
    Array(Vec<Self>),
    /// Names stand without their quotes, as written.
    Object(Vec<(String, Self)>),
}

/// Random choices from one seed, so that a failing case prints as a number.
pub(crate) struct Dice(u64);

impl Tree {
    pub(crate) fn text(text: &str) -> Self {
        Self::Scalar(String::from_utf8(quote(text)).unwrap())
    }

    pub(crate) fn parse(json: &str) -> Self {
        let document = Document::parse(json.to_owned().into()).unwrap();
        Self::of(&document, document.root())
    }

    pub(crate) fn of(document: &Document, node: NodeId) -> Self {
        let raw = |node| String::from_utf8(document.raw(node).to_vec()).unwrap();
        match document.kind(node) {
            Kind::Array => Self::Array(document.elements(node).map(|node| Self::of(document, node)).collect()),
            Kind::Object => {
                let members = document.members(node);
                let member = |(name, value)| (raw(name).trim_matches('"').to_owned(), Self::of(document, value));
                Self::Object(members.map(member).collect())
            }
            _ => Self::Scalar(raw(node)),
        }
    }

    /// Written without white space, members in order.
    pub(crate) fn plain(&self) -> String {
        self.write(&mut None)
    }

    /// Written with members shuffled and white space strewn about.
    pub(crate) fn spelled(&self, seed: u64) -> String {
        self.write(&mut Some(Dice::new(seed)))
    }

    pub(crate) fn set(&mut self, name: &str, value: Self) {
        let Self::Object(members) = self else {
            panic!("{self:?} has no members");
        };
        match members.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => members.push((name.to_owned(), value)),
        }
    }

    pub(crate) fn at(&mut self, name: &str) -> &mut Self {
        let Self::Object(members) = self else {
            panic!("{self:?} has no members");
        };
        &mut members.iter_mut().find(|(known, _)| known == name).unwrap().1
    }

    fn write(&self, dice: &mut Option<Dice>) -> String {
        let json = match self {
            Self::Scalar(scalar) => scalar.clone(),
            Self::Array(elements) => {
                let elements: Vec<_> = elements.iter().map(|element| element.write(dice)).collect();
                format!("[{}{}]", elements.join(","), space(dice))
            }
            Self::Object(members) => {
                let mut members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("{}\"{name}\"{}:{}", space(dice), space(dice), value.write(dice)))
                    .collect();
                if let Some(dice) = dice {
                    members.sort_by_cached_key(|_| dice.roll());
                }
                format!("{{{}{}}}", members.join(","), space(dice))
            }
        };
        format!("{}{json}{}", space(dice), space(dice))
    }
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The xorshift64 generator.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn space(dice: &mut Option<Dice>) -> String {
    let spaces = ["", "", "", " ", "\n", "\t", "\r\n  "];
    dice.as_mut()
        .map_or(String::new(), |dice| spaces[(dice.roll() % 7) as usize].to_owned())
}

/// Names whose spelling is plain, so that two of them are one name only when they are equal.
pub(crate) fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z_]{1,8}",
        "\\PC{1,4}".prop_map(|name| name.replace(['"', '\\'], "_")),
        Just("cache_control".into())
    ]
}

pub(crate) fn any_scalar() -> impl Strategy<Value = Tree> {
    let words = [
        "null", "true", "false", "0", "-0", "1", "1.0", "1.00", "1e0", "1e400", "-1E-7", "0.1",
    ];
    let long = [
        "123456789012345678901234567890",
        "9007199254740993",
        "1.7976931348623157e309",
    ];
    let strings = [
        r#""""#,
        r#""\u0061""#,
        r#""a""#,
        r#""\ud83d\ude00""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0000""#,
    ];
    let fixed = [&words[..], &long, &strings].concat();
    prop_oneof![
        proptest::sample::select(fixed).prop_map(|scalar| Tree::Scalar(scalar.to_owned())),
        any::<i64>().prop_map(|number| Tree::Scalar(number.to_string())),
        "\\PC{0,40}".prop_map(|text| Tree::text(&text)),
    ]
}

pub(crate) fn any_tree() -> impl Strategy<Value = Tree> {
    any_scalar().prop_recursive(5, 40, 6, |inner| {
        let members = proptest::collection::btree_map(any_name(), inner.clone(), 0..12);
        prop_oneof![
            proptest::collection::vec(inner, 0..6).prop_map(Tree::Array),
            members.prop_map(|members| Tree::Object(members.into_iter().collect())),
        ]
    })
}
