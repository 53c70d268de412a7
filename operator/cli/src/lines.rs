//! Files of one JSON object a line, read one after the other; every bad line is named at once.

use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use crate::failure::Failure;
use crate::input;

/// Longest line read, in bytes: room for a request with images and its answer.
const MOST_BYTES: u64 = 64 << 20;
/// Most problems named; the rest is counted.
const MOST_PROBLEMS: usize = 20;

/// What is wrong with one line, each with the fix.
pub(crate) type Wrong = Vec<String>;

/// Everything the lines of a file say, or everything wrong with them. Empty lines are passed over.
pub(crate) fn read<T>(path: &Path, parse: impl Fn(&str) -> Result<T, Wrong>) -> Result<Vec<T>, Failure> {
    let (source, name) = input::open(path).map_err(Failure::usage)?;
    collect(BufReader::new(source), &name, parse)
}

fn collect<T>(
    mut source: impl BufRead,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Result<Vec<T>, Failure> {
    let (mut items, mut problems, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1_u64.. {
        bytes.clear();
        let mut limited = (&mut source).take(MOST_BYTES + 1);
        let length = limited.read_until(b'\n', &mut bytes);
        let length = length.map_err(|error| Failure::usage(input::unreadable(name, &error)))?;
        if length == 0 {
            break;
        }
        match item(&bytes, &parse) {
            Ok(Some(item)) => items.push(item),
            Ok(None) => {}
            Err(wrong) => problems.extend(wrong.iter().map(|wrong| format!("{name}: line {number}: {wrong}"))),
        }
        // The rest of a line that is too long is no line.
        if length > limit() {
            break;
        }
    }
    if items.is_empty() && problems.is_empty() {
        problems.push(format!("{name}: holds no line; write one JSON object a line"));
    }
    if problems.is_empty() {
        Ok(items)
    } else {
        Err(Failure::Problems(bounded(problems)))
    }
}

fn limit() -> usize {
    usize::try_from(MOST_BYTES).unwrap_or(usize::MAX)
}

fn item<T>(bytes: &[u8], parse: impl Fn(&str) -> Result<T, Wrong>) -> Result<Option<T>, Wrong> {
    if bytes.len() > limit() {
        return Err(vec![format!("over {MOST_BYTES} bytes; leave this line out")]);
    }
    let line = std::str::from_utf8(bytes).map_err(|_| vec!["not UTF-8 text; save the file as UTF-8".to_owned()])?;
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    parse(line).map(Some)
}

fn bounded(mut problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(MOST_PROBLEMS);
    problems.truncate(MOST_PROBLEMS);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(line: &str) -> Result<u32, Wrong> {
        line.parse().map_err(|_| vec![format!("n: {line}: write a number")])
    }

    fn problems(text: &[u8]) -> Vec<String> {
        match collect(text, "f", number) {
            Err(Failure::Problems(lines)) => lines,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_read_in_their_order_and_empty_ones_passed_over() {
        assert_eq!(collect(&b"1\n\n 2 \r\n3"[..], "f", number), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn every_bad_line_is_named_up_to_a_bound() {
        assert_eq!(
            problems(b"1\nx\n2\n\xff\n"),
            [
                "f: line 2: n: x: write a number",
                "f: line 4: not UTF-8 text; save the file as UTF-8"
            ]
        );
        let many = problems("x\n".repeat(50).as_bytes());
        assert_eq!(many.len(), MOST_PROBLEMS + 1);
        assert_eq!(many.last().map(String::as_str), Some("and 30 more"));
        assert_eq!(problems(b"\n"), ["f: holds no line; write one JSON object a line"]);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let endless = BufReader::new(std::io::repeat(b'1'));
        let Err(Failure::Problems(lines)) = collect(endless, "f", number) else {
            panic!("it was read");
        };
        assert_eq!(lines, ["f: line 1: over 67108864 bytes; leave this line out"]);
    }
}
