//! The scanner: one pass, no recursion, every byte looked at once (twice inside strings: the search for their end
//! and the check for control characters, both vectorised).

use std::borrow::Cow;

use super::{Error, Kind, MAX_DEPTH, MAX_NODES, Node, text};

/// What a scan found.
pub(super) struct Scan {
    pub(super) nodes: Vec<Node>,
    pub(super) duplicate_member: bool,
    pub(super) lone_surrogate: bool,
}

/// Scans one document and nothing after it but white space.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan, Error> {
    if bytes.len() >= u32::MAX as usize {
        return Err(Error::TooLarge);
    }
    std::str::from_utf8(bytes).map_err(|error| Error::Utf8(error.valid_up_to()))?;
    let mut scanner = Scanner {
        bytes,
        at: 0,
        // Prose averages far more than 64 bytes a value; a dense body grows the table a few times.
        nodes: Vec::with_capacity((bytes.len() / 64).clamp(16, 1 << 16)),
        open: Vec::with_capacity(16),
        names: Vec::new(),
        duplicate_member: false,
        lone_surrogate: false,
    };
    scanner.document()?;
    Ok(Scan {
        nodes: scanner.nodes,
        duplicate_member: scanner.duplicate_member,
        lone_surrogate: scanner.lone_surrogate,
    })
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    open: Vec<usize>,
    names: Vec<Cow<'a, [u8]>>,
    duplicate_member: bool,
    lone_surrogate: bool,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Error> {
        loop {
            self.skip_space();
            if self.value()? {
                continue;
            }
            if !self.after_value()? {
                break;
            }
        }
        self.skip_space();
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            self.broken()
        }
    }

    /// Reads a value's beginning; true when it opened a container that has a value inside.
    fn value(&mut self) -> Result<bool, Error> {
        match self.peek() {
            Some(b'{') => self.open(Kind::Object),
            Some(b'[') => self.open(Kind::Array),
            Some(b'"') => self.string().map(|()| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.word(b"true", Kind::True),
            Some(b'f') => self.word(b"false", Kind::False),
            Some(b'n') => self.word(b"null", Kind::Null),
            _ => self.broken(),
        }
    }

    /// Reads what follows a complete value; false when the document is complete.
    fn after_value(&mut self) -> Result<bool, Error> {
        while let Some(&container) = self.open.last() {
            self.skip_space();
            let is_object = self.nodes[container].kind == Kind::Object;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if is_object {
                        self.name()?;
                    }
                    return Ok(true);
                }
                Some(b'}') if is_object => self.close(container),
                Some(b']') if !is_object => self.close(container),
                _ => return self.broken(),
            }
        }
        Ok(false)
    }

    fn open(&mut self, kind: Kind) -> Result<bool, Error> {
        if self.open.len() == MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        let container = self.nodes.len();
        self.push(kind, self.at, self.at, false)?;
        self.open.push(container);
        self.at += 1;
        self.skip_space();
        match (kind, self.peek()) {
            (Kind::Object, Some(b'}')) | (Kind::Array, Some(b']')) => {
                self.close(container);
                Ok(false)
            }
            (Kind::Object, _) => self.name().map(|()| true),
            _ => Ok(true),
        }
    }

    fn close(&mut self, container: usize) {
        self.at += 1;
        self.open.pop();
        let next = index(self.nodes.len());
        let end = index(self.at);
        let node = &mut self.nodes[container];
        node.next = next;
        node.end = end;
        if node.kind == Kind::Object && !self.duplicate_member {
            self.duplicate_member = self.repeats_a_name(container);
        }
    }

    fn repeats_a_name(&mut self, object: usize) -> bool {
        let end = self.nodes[object].next as usize;
        let mut at = object + 1;
        self.names.clear();
        while at < end {
            let Node {
                start, end, escaped, ..
            } = self.nodes[at];
            let inside = &self.bytes[start as usize + 1..end as usize - 1];
            self.names.push(if escaped {
                Cow::Owned(text::decode(inside, true).into_owned().into_bytes())
            } else {
                Cow::Borrowed(inside)
            });
            at = self.nodes[at + 1].next as usize;
        }
        // Comparing all pairs beats sorting for the few members that real objects have.
        if self.names.len() <= 8 {
            let repeats = |(index, name)| self.names[..index].contains(name);
            return self.names.iter().enumerate().any(repeats);
        }
        self.names.sort_unstable();
        self.names.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Reads a member's name and colon.
    fn name(&mut self) -> Result<(), Error> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return self.broken();
        }
        self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.broken();
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), Error> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
                return self.broken();
            };
            // The smallest byte, not the first small one: without an early exit the search is vectorised.
            if rest[..length].iter().fold(u8::MAX, |least, byte| least.min(*byte)) < 0x20 {
                return self.broken();
            }
            self.at += length;
            if rest[length] == b'"' {
                break;
            }
            escaped = true;
            self.escape()?;
        }
        self.at += 1;
        self.push(Kind::String, start, self.at, escaped)
    }

    fn escape(&mut self) -> Result<(), Error> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let Some(unit) = text::unit(self.bytes, self.at) else {
                    return self.broken();
                };
                self.at += 6;
                match unit {
                    0xd800..=0xdbff => match text::unit(self.bytes, self.at) {
                        Some(0xdc00..=0xdfff) => self.at += 6,
                        _ => self.lone_surrogate = true,
                    },
                    0xdc00..=0xdfff => self.lone_surrogate = true,
                    _ => {}
                }
            }
            _ => return self.broken(),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Error> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.push(Kind::Number, start, self.at, false)
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.broken() } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<bool, Error> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.broken();
        }
        let start = self.at;
        self.at += word.len();
        self.push(kind, start, self.at, false).map(|()| false)
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize, escaped: bool) -> Result<(), Error> {
        if self.nodes.len() == MAX_NODES {
            return Err(Error::TooLarge);
        }
        self.nodes.push(Node {
            start: index(start),
            end: index(end),
            next: index(self.nodes.len() + 1),
            kind,
            escaped,
        });
        Ok(())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn broken<T>(&self) -> Result<T, Error> {
        Err(Error::Syntax(self.at))
    }
}

/// Bodies are shorter than 4 GiB and tables than `MAX_NODES`, both checked before.
fn index(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
