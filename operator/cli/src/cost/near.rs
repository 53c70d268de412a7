//! Names like a given one.

/// At most five names that share at least a third of their letter pairs with `name`, the most alike first.
pub(super) fn nearest<'a>(name: &str, names: &[&'a str]) -> Vec<&'a str> {
    let wanted = pairs(name);
    let mut alike: Vec<_> = names
        .iter()
        .map(|other| (likeness(&wanted, &pairs(other)), *other))
        .collect();
    alike.retain(|(likeness, _)| *likeness >= 333);
    alike.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
    alike.into_iter().map(|(_, name)| name).take(5).collect()
}

/// Twice the common pairs over all pairs, in thousandths.
fn likeness(one: &[[u8; 2]], other: &[[u8; 2]]) -> usize {
    let mut left = other.to_vec();
    let common = one.iter().filter(|pair| {
        let found = left.iter().position(|other| other == *pair);
        found.map(|at| left.swap_remove(at)).is_some()
    });
    2_000 * common.count() / (one.len() + other.len()).max(1)
}

/// Letter pairs, whatever the case and whatever separates a name's parts.
fn pairs(name: &str) -> Vec<[u8; 2]> {
    let plain = |byte: u8| {
        if byte.is_ascii_punctuation() {
            b'-'
        } else {
            byte.to_ascii_lowercase()
        }
    };
    let plain: Vec<u8> = name.bytes().take(128).map(plain).collect();
    plain.windows(2).map(|pair| [pair[0], pair[1]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_halves_of_names_find_the_name() {
        let names = [
            "claude-sonnet-5",
            "claude-sonnet-5-5",
            "claude-opus-5-5",
            "gpt-6.2-sol",
            "o3",
        ];
        assert_eq!(nearest("claude-sonet-5.5", &names)[0], "claude-sonnet-5-5");
        assert_eq!(nearest("Opus-5-5", &names)[0], "claude-opus-5-5");
        assert_eq!(nearest("gpt-6.2", &names), ["gpt-6.2-sol"]);
        assert_eq!(nearest("mistral", &names), [""; 0]);
        assert_eq!(nearest("x", &names), [""; 0]);
    }
}
