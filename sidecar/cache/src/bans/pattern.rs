//! Globs with `*` alone: the match, and the narrowest simple glob over two.

/// Whether `pattern` covers the whole text; each `*` stands for any run, also an empty one.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            // Only the last star needs another try: what an earlier one could take, the last can too.
            _ => {
                let Some((after_star, taken)) = retry else { return false };
                retry = Some((after_star, taken + 1));
                p = after_star;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether a pattern matches one of the tags; a pattern of stars alone needs none.
pub(crate) fn tags(pattern: &str, tags: &[String]) -> bool {
    is_everything(pattern) || tags.iter().any(|text| tag(pattern, text))
}

/// A pattern that covers what `a` or `b` cover: their common literal start and a star.
///
/// It also covers the nothing that a closing `:*` stands for: a start that ends in a colon closes so itself.
pub(super) fn widen(a: String, b: &str) -> String {
    if a == b {
        a
    } else {
        common_start(literal(&a), literal(b))
    }
}

/// As `glob`, with a closing `:*` that also stands for nothing.
fn tag(pattern: &str, text: &str) -> bool {
    glob(pattern, text) || pattern.strip_suffix(":*").is_some_and(|stem| glob(stem, text))
}

fn is_everything(pattern: &str) -> bool {
    pattern.bytes().all(|byte| byte == b'*')
}

fn literal(pattern: &str) -> &str {
    pattern.split('*').next().unwrap_or_default()
}

fn common_start(a: &str, b: &str) -> String {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(a, _)| a).chain(['*']).collect()
}
