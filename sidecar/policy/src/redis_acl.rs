//! The Redis user of one namespace: what sidecars send, on that namespace's own keys, and nothing else.
//!
//! Whoever makes the user (the operator, or an administrator by hand) sends `ACL SETUSER` with these rules.

/// What the shared tier sends; the first line greets, and finds the servers of a Cluster or behind Sentinels.
///
/// Newer servers also log that `CLIENT SETINFO` was denied: it only tells them the client's name.
const COMMANDS: &str = "auth hello ping select role wait cluster|slots \
                        eval evalsha script|load \
                        get getrange pttl type zcard zrange zrangebyscore zscan \
                        set del unlink pexpire zadd zrem zremrangebyscore";

/// The rules for the user of a namespace whose keys begin with `prefix`; the password is given as its SHA-256 in hex.
pub fn rules(prefix: &str, password_sha256: &str) -> Vec<String> {
    let mut rules = vec![
        "reset".to_owned(),
        "on".to_owned(),
        format!("#{password_sha256}"),
        format!("~{prefix}*"),
        "-@all".to_owned(),
    ];
    rules.extend(COMMANDS.split_whitespace().map(|command| format!("+{command}")));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_begins_with_nothing_and_has_one_kind_of_key() {
        let rules = rules("llmcache:ab:", &"0".repeat(64));
        assert_eq!(rules[0], "reset");
        assert_eq!(rules[4], "-@all");
        let keys: Vec<&String> = rules.iter().filter(|rule| rule.starts_with('~')).collect();
        assert_eq!(keys, ["~llmcache:ab:*"]);
        assert!(
            rules[5..]
                .iter()
                .all(|rule| rule.starts_with('+') && !rule.contains('@'))
        );
    }
}
