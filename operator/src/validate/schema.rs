//! The schema of the definition, walked over a spec: every field that breaks it, not only the first.

mod text;

use serde_json::{Map, Value};

use super::{document::Marks, problem::Problems, suggest::nearest};

/// Judges `spec`.
pub(super) fn check(schema: &Value, spec: &Value, marks: &Marks, problems: &mut Problems<'_>) {
    let mut walk = Walk { marks, problems };
    walk.value(schema, spec, "spec");
}

struct Walk<'a, 'b> {
    marks: &'a Marks,
    problems: &'a mut Problems<'b>,
}

impl Walk<'_, '_> {
    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        if !self.has_type(schema, value, path) {
            return;
        }
        match value {
            Value::Object(members) => self.object(schema, members, value, path),
            Value::Array(items) => {
                let (least, most) = (&schema["minItems"], &schema["maxItems"]);
                self.count(items.len(), least, most, "items", value, path);
                for (index, item) in items.iter().enumerate() {
                    self.value(&schema["items"], item, &format!("{path}[{index}]"));
                }
            }
            Value::String(string) => text::check(schema, string, value, path, self.problems),
            Value::Number(_) => self.number(schema, value, path),
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn has_type(&mut self, schema: &Value, value: &Value, path: &str) -> bool {
        let expected = schema["type"].as_str().unwrap_or_default();
        let is = match value {
            Value::Null => "empty",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.as_f64().is_some_and(|float| float.fract() == 0.0) => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if is == expected || (is == "integer" && expected == "number") {
            return true;
        }
        let allowed = allowed(schema);
        if let Some(word) = self.marks.bare(path).filter(|_| expected == "string") {
            let fix = match nearest_mode(schema, word) {
                Some(mode) => format!("write {mode}"),
                None => format!("write \"{word}\" in quotes if this text is meant"),
            };
            let message = format!("{word} without quotes is a boolean in YAML 1.1");
            self.problems.push_words(path, word, &message, &allowed, &fix);
            return false;
        }
        let message = format!("is {}, not {}", article(is), article(expected));
        let fix = match value {
            Value::Null => "write a value or remove the field".into(),
            Value::Bool(_) | Value::Number(_) if expected == "string" && schema["enum"].is_null() => {
                format!("write {}", text::example(schema, value))
            }
            _ => format!("write {}", article(expected)),
        };
        self.problems.push(path, Some(value), &message, &allowed, &fix);
        false
    }

    fn object(&mut self, schema: &Value, members: &Map<String, Value>, value: &Value, path: &str) {
        let (least, most) = (&schema["minProperties"], &schema["maxProperties"]);
        self.count(members.len(), least, most, "members", value, path);
        for required in schema["required"].as_array().into_iter().flatten() {
            let name = required.as_str().unwrap_or_default();
            if !members.contains_key(name) {
                let field = &schema["properties"][name];
                let fix = format!("add {name}");
                let path = format!("{path}.{name}");
                self.problems.push(&path, None, "is missing", &allowed(field), &fix);
            }
        }
        for (name, member) in members {
            let path = format!("{path}.{name}");
            let inner = match &schema["properties"][name.as_str()] {
                Value::Null => &schema["additionalProperties"],
                field => field,
            };
            if inner.is_object() {
                self.value(inner, member, &path);
            } else {
                self.unknown(schema, name, member, &path);
            }
        }
    }

    fn unknown(&mut self, schema: &Value, name: &str, value: &Value, path: &str) {
        let names = || {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields.map(|(name, _)| name.as_str())
        };
        let fix = match nearest(name, names()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "remove it or use one of the names allowed".into(),
        };
        let allowed = names().collect::<Vec<_>>().join(", ");
        self.problems
            .push(path, Some(value), "is no field here", &allowed, &fix);
    }

    fn count(&mut self, count: usize, least: &Value, most: &Value, unit: &str, value: &Value, path: &str) {
        let least = least.as_u64().unwrap_or(0);
        let most = most.as_u64().unwrap_or(u64::MAX);
        let count = count as u64;
        if (least..=most).contains(&count) {
            return;
        }
        let allowed = if most == u64::MAX {
            format!("at least {least} {unit}")
        } else {
            format!("{least}…{most} {unit}")
        };
        let fix = if count < least {
            "add one or remove the field"
        } else {
            "keep the first ones and remove the rest"
        };
        let message = format!("has {count} {unit}");
        self.problems.push(path, Some(value), &message, &allowed, fix);
    }

    fn number(&mut self, schema: &Value, value: &Value, path: &str) {
        let Some(number) = value.as_f64() else { return };
        let is_low = schema["minimum"].as_f64().is_some_and(|least| number < least);
        let is_high = schema["maximum"].as_f64().is_some_and(|most| number > most);
        if is_low || is_high {
            let side = if is_low { "below" } else { "above" };
            let message = format!("is {side} the bounds");
            let fix = format!("write a number from {} to {}", schema["minimum"], schema["maximum"]);
            self.problems.push(path, Some(value), &message, &allowed(schema), &fix);
        }
    }
}

/// What a field takes, in words.
fn allowed(schema: &Value) -> String {
    match schema["type"].as_str().unwrap_or_default() {
        "string" => text::allowed(schema),
        "number" | "integer" if schema["minimum"].is_number() => {
            format!("{}…{}", schema["minimum"], schema["maximum"])
        }
        "boolean" => "true or false".into(),
        "object" if schema["properties"].is_object() => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let names: Vec<_> = fields.map(|(name, _)| name.as_str()).collect();
            format!("a block of {}", names.join(", "))
        }
        other => article(other).into(),
    }
}

fn article(kind: &str) -> &str {
    match kind {
        "array" => "a list",
        "boolean" => "a boolean",
        "integer" => "a whole number",
        "number" => "a number",
        "object" => "a block",
        "string" => "text",
        other => other,
    }
}

/// The closed word that a bare boolean was probably meant as.
fn nearest_mode<'a>(schema: &'a Value, word: &str) -> Option<&'a str> {
    let meant: &[&str] = match word.to_ascii_lowercase().as_str() {
        "off" | "no" | "n" => &["Disabled", "Never"],
        _ => &["Enforce", "Enabled", "Always"],
    };
    let variants = schema["enum"].as_array()?;
    variants
        .iter()
        .filter_map(Value::as_str)
        .find(|variant| meant.contains(variant))
}
