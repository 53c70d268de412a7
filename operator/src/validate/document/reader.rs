//! Parser events → documents, within bounds.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Map, Value};

use super::{Document, MAX_DEPTH, MAX_NODES, Marks, scalar, size};
use crate::validate::Problem;

/// Reads one file; the first thing that cannot be parsed ends it.
pub(super) struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Value>,
    marks: Marks,
    found: Vec<Problem>,
    nodes: usize,
}

/// Why a file cannot be read on.
type Broken = Box<Problem>;

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            parser: Parser::new_from_str(text),
            anchors: HashMap::new(),
            marks: Marks::default(),
            found: Vec::new(),
            nodes: 0,
        }
    }

    /// Every document that is not empty; the first syntax error ends the file.
    pub(super) fn documents(mut self) -> Result<Vec<Document>, Broken> {
        let mut documents = Vec::new();
        let mut number = 0;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::DocumentStart(_), _) => {
                    number += 1;
                    let (event, span) = self.next()?;
                    let value = self.node(event, &span, "", 0)?;
                    let marks = std::mem::take(&mut self.marks);
                    let found = std::mem::take(&mut self.found);
                    self.anchors.clear();
                    if !value.is_null() || !found.is_empty() {
                        documents.push(Document {
                            value,
                            marks,
                            found,
                            number,
                        });
                    }
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Broken> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let at = error.marker();
                let message = format!("column {}: {}", at.col() + 1, error.info());
                let mut problem = Problem::of_file(&message, "correct the YAML syntax here or just above");
                problem.line = Some(at.line());
                Err(problem.into())
            }
            None => {
                let fix = "complete the last document";
                Err(Problem::of_file("the file ends early", fix).into())
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span, path: &str, depth: usize) -> Result<Value, Broken> {
        let line = span.start.line();
        self.count(1, depth, line)?;
        self.marks.lines.entry(path.into()).or_insert(line);
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain
                    || tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                if !is_text && scalar::bare_boolean(&text).is_some() {
                    self.marks.bare.insert(path.into(), text.to_string());
                }
                let value = if is_text { text.into() } else { scalar::plain(&text) };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(path, depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(path, depth)?, anchor),
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned().unwrap_or_default();
                self.count(size(&value), depth, line)?;
                (value, 0)
            }
            _ => (Value::Null, 0),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<Value, Broken> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => {
                    let path = format!("{path}[{}]", items.len());
                    items.push(self.node(event, &span, &path, depth + 1)?);
                }
            }
        }
    }

    fn map(&mut self, path: &str, depth: usize) -> Result<Value, Broken> {
        let mut members = Map::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Object(members));
            }
            let key = self.key(&event, &span, path)?;
            let path = join(path, &key);
            let line = span.start.line();
            self.marks.lines.insert(path.clone(), line);
            let (event, span) = self.next()?;
            let value = self.node(event, &span, &path, depth + 1)?;
            if members.insert(key, value).is_some() {
                self.complain(line, &path, "is written twice", "remove one of the two");
            }
        }
    }

    fn key(&mut self, event: &Event<'a>, span: &Span, path: &str) -> Result<String, Broken> {
        let line = span.start.line();
        let Event::Scalar(text, style, ..) = event else {
            let mut problem =
                Problem::of_file("a name must be one word, not a block or an alias", "write the name out");
            problem.line = Some(line);
            problem.path = path.into();
            return Err(problem.into());
        };
        let path = join(path, text);
        if *style == ScalarStyle::Plain && scalar::bare_boolean(text).is_some() {
            let fix = format!("write \"{text}\" in quotes");
            self.complain(line, &path, "the name is a boolean in YAML 1.1", &fix);
        }
        if *style == ScalarStyle::Plain && text == "<<" {
            let fix = "write the members out";
            self.complain(line, &path, "merge keys are not part of the format", fix);
        }
        Ok(text.to_string())
    }

    fn complain(&mut self, line: usize, path: &str, message: &str, fix: &str) {
        let mut problem = Problem::of_file(message, fix);
        problem.line = Some(line);
        problem.path = path.into();
        self.found.push(problem);
    }

    fn count(&mut self, nodes: usize, depth: usize, line: usize) -> Result<(), Broken> {
        self.nodes += nodes;
        let message = if self.nodes > MAX_NODES {
            format!("the file holds more than {MAX_NODES} values")
        } else if depth > MAX_DEPTH {
            format!("the file nests deeper than {MAX_DEPTH} levels")
        } else {
            return Ok(());
        };
        let mut problem = Problem::of_file(&message, "split or simplify it");
        problem.line = Some(line);
        Err(problem.into())
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.into()
    } else {
        format!("{path}.{key}")
    }
}
