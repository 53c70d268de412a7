//! The text in which programs expose metrics: one sample a line, values as written.

use std::borrow::Cow;

/// One sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample<'a> {
    /// Family, with its suffix if it has one.
    pub(crate) name: &'a str,
    /// Names and values of the labels.
    labels: Vec<(&'a str, Cow<'a, str>)>,
    /// The number as written.
    pub(crate) value: &'a str,
}

impl Sample<'_> {
    /// The value of a label; empty where it has none.
    pub(crate) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Every sample of a text, or the first line that is none.
pub(crate) fn samples(text: &str) -> Result<Vec<Sample<'_>>, String> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| sample(line).ok_or_else(|| format!("line {} of its metrics is no sample", number + 1)))
        .collect()
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?;
    (!name.is_empty()).then_some(Sample { name, labels, value })
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once('=')?;
        let inside = after.trim_start().strip_prefix('"')?;
        let end = closing_quote(inside)?;
        labels.push((name.trim_end(), unescaped(&inside[..end])));
        rest = &inside[end + 1..];
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            (other, false) => plain.push(other),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_their_labels_and_their_value_as_written() {
        let text = "# HELP a b\n# TYPE a counter\na 5\nb{x=\"1\",y=\"2\"} 0.000000001 1700000000\n\
            c_bucket{le=\"+Inf\",} 1e-06\nd{m=\"say \\\"hi\\\", {a}\\\\\\n\"} NaN\n\n";
        let found = samples(text).unwrap();
        let names: Vec<_> = found.iter().map(|sample| (sample.name, sample.value)).collect();
        assert_eq!(
            names,
            [("a", "5"), ("b", "0.000000001"), ("c_bucket", "1e-06"), ("d", "NaN")]
        );
        assert_eq!((found[1].label("y"), found[1].label("z")), ("2", ""));
        assert_eq!(found[2].label("le"), "+Inf");
        assert_eq!(found[3].label("m"), "say \"hi\", {a}\\\n");
    }

    #[test]
    fn what_is_no_sample_is_named_by_its_line() {
        for bad in ["a", "a{x=\"1\" 5", "a{x=1} 5", "a{x=\"1\"}", "{x=\"1\"} 5", "<html>"] {
            let text = format!("ok 1\n{bad}\n");
            assert_eq!(
                samples(&text),
                Err("line 2 of its metrics is no sample".into()),
                "{bad}"
            );
        }
    }
}
