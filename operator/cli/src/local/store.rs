//! The shared store as the flags name it.

use std::path::Path;

use llmcache_sidecar::config::{Server, qdrant};

/// Largest file of certificates read, in bytes: room for a whole system's.
const MAX_CA: u64 = 1 << 20;

/// The store of `--redis` and `--redis-ca`; every problem at once.
pub(super) fn read(url: Option<&str>, ca: Option<&Path>) -> Result<Option<Server>, Vec<String>> {
    let mut problems = Vec::new();
    let server = url.map(Server::parse).transpose();
    let server = server.map_err(|error| problems.push(format!("--redis: {error}")));
    let pem = ca.map(certificates).transpose();
    let pem = pem.map_err(|problem| problems.push(format!("--redis-ca: {problem}")));
    match (server, pem) {
        (Ok(server), Ok(None)) => Ok(server),
        (Ok(Some(server)), Ok(Some(pem))) => match server.with_ca(&pem) {
            Ok(server) => Ok(Some(server)),
            Err(error) => Err(vec![format!("--redis-ca: {error}")]),
        },
        (Ok(None), Ok(Some(_))) => Err(vec!["--redis-ca: there is no store; give --redis too".into()]),
        _ => Err(problems),
    }
}

/// The index of `--qdrant`, which needs a store beside it.
pub(super) fn index(url: Option<&str>, has_store: bool) -> Result<Option<qdrant::Server>, String> {
    match url {
        None => Ok(None),
        Some(_) if !has_store => Err("--qdrant: there is no store for the answers; give --redis too".into()),
        Some(url) => url.parse().map(Some).map_err(|error| format!("--qdrant: {error}")),
    }
}

fn certificates(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{name}: no such file"),
        _ => format!("{name}: {error}"),
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_CA {
        return Err(format!(
            "{name}: over {MAX_CA} bytes; give the store's authorities alone"
        ));
    }
    std::fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_flags_are_judged_at_once() {
        assert_eq!(read(None, None), Ok(None));
        assert!(read(Some("redis://h"), None).unwrap().is_some());
        let both = read(Some("h"), Some(Path::new("/nowhere/ca.pem"))).unwrap_err();
        assert!(both[0].starts_with("--redis: not a URL; write redis://"), "{both:?}");
        assert_eq!(both[1..], ["--redis-ca: /nowhere/ca.pem: no such file"]);
    }

    #[test]
    fn an_index_needs_a_store_and_an_address() {
        assert_eq!(index(None, false), Ok(None));
        let lone = index(Some("http://q"), false).unwrap_err();
        assert_eq!(lone, "--qdrant: there is no store for the answers; give --redis too");
        let bad = index(Some("q:6334"), true).unwrap_err();
        assert!(
            bad.starts_with("--qdrant: it has no scheme; write it as http://host"),
            "{bad}"
        );
        assert_eq!(
            index(Some("https://key@q"), true),
            Ok(Some("https://key@q:6334".parse().unwrap()))
        );
    }

    #[test]
    fn certificates_need_a_store_with_tls_and_must_be_some() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("ca.pem");
        std::fs::write(&empty, "").unwrap();
        for (url, expected) in [
            (None, "--redis-ca: there is no store; give --redis too"),
            (
                Some("redis://h"),
                "--redis-ca: certificates are for TLS alone; write an address that begins with rediss",
            ),
            (
                Some("rediss://h"),
                "--redis-ca: holds no certificate; give PEM certificates of authorities",
            ),
        ] {
            assert_eq!(read(url, Some(&empty)), Err(vec![expected.to_owned()]));
        }
    }
}
