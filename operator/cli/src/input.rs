//! Files people name on the command line: bounded, `-` is stdin, errors say what to do.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use llmcache_operator::validate::MAX_BYTES;

/// The text of a file, or of stdin for `-`; fails naming the file and the fix.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let (source, name) = open(path)?;
    text(source, &name)
}

/// A file, or stdin for `-`, with its name in messages; fails naming the file and the fix.
pub(crate) fn open(path: &Path) -> Result<(Box<dyn Read>, String), String> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), "stdin".into()));
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => Ok((Box::new(file), name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!("{name}: no such file; check the path")),
        Err(error) => Err(unreadable(&name, &error)),
    }
}

fn text(source: impl Read, name: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    source
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(name, &error))?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("{name}: over {MAX_BYTES} bytes; split the file"));
    }
    String::from_utf8(bytes).map_err(|_| format!("{name}: not UTF-8 text; save it as UTF-8"))
}

pub(crate) fn unreadable(name: &str, error: &io::Error) -> String {
    format!("{name}: cannot be read ({error}); check that it is a file you may read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_or_no_text_is_refused() {
        assert_eq!(text(&b"spec: {}"[..], "stdin"), Ok("spec: {}".into()));
        assert!(text(&[0xff][..], "a").unwrap_err().starts_with("a: not UTF-8"));
        assert!(text(io::repeat(b' '), "b").unwrap_err().starts_with("b: over"));
    }
}
