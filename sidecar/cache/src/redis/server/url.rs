//! The grammar of a store's address. Errors say which part is wrong, never what it holds.

use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::{Address, Login, Mode, Server};

const PORT: u16 = 6_379;
const SENTINEL_PORT: u16 = 26_379;
const MAX_URL: usize = 4_096;
const MAX_ADDRESSES: usize = 32;

type Wrong = &'static str;

/// The parts of `scheme://[login@]hosts[/path][?query]`.
struct Parts<'a> {
    scheme: &'a str,
    login: Option<&'a str>,
    hosts: &'a str,
    path: &'a str,
    query: Option<&'a str>,
}

pub(super) fn parse(url: &str) -> Result<Server, Wrong> {
    let parts = split(url)?;
    let (is_tls, kind) = scheme(parts.scheme)?;
    let is_sentinel = kind == "sentinel";
    let port = if is_sentinel { SENTINEL_PORT } else { PORT };
    let hosts = parts.hosts.split(',').map(|host| address(host, port));
    let addresses = hosts.collect::<Result<Vec<_>, _>>()?;
    if addresses.len() > MAX_ADDRESSES {
        return Err("names more than 32 hosts");
    }
    if kind.is_empty() && addresses.len() > 1 {
        return Err("more than one host needs +sentinel or +cluster after the scheme");
    }
    let (mode, database) = mode(kind, parts.path)?;
    let sentinel_login = match parts.query {
        None => None,
        Some(query) if is_sentinel => Some(sentinel_login(query)?),
        Some(_) => return Err("has a query"),
    };
    Ok(Server {
        mode,
        addresses,
        is_tls,
        ca: None,
        login: parts.login.map(login).transpose()?,
        sentinel_login,
        database,
    })
}

fn split(url: &str) -> Result<Parts<'_>, Wrong> {
    if url.len() > MAX_URL {
        return Err("over 4096 bytes");
    }
    if url.contains(|c: char| c.is_ascii_control() || c == ' ') {
        return Err("holds a space or a control character");
    }
    if url.contains('#') {
        return Err("has a fragment; a # in a password is written %23");
    }
    let (scheme, rest) = url.split_once("://").ok_or("not a URL")?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (Some(login), hosts),
        None => (None, authority),
    };
    Ok(Parts {
        scheme,
        login,
        hosts,
        path,
        query,
    })
}

/// Whether it is TLS, and the word after `+`.
fn scheme(scheme: &str) -> Result<(bool, &str), Wrong> {
    let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let is_known = matches!(base, "redis" | "rediss")
        && (matches!(kind, "sentinel" | "cluster") || (kind.is_empty() && !scheme.contains('+')));
    if is_known {
        Ok((base == "rediss", kind))
    } else {
        Err("the scheme is unknown")
    }
}

fn address(text: &str, default: u16) -> Result<Address, Wrong> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("an IPv6 address is not closed")?;
        host.parse::<Ipv6Addr>().map_err(|_| "an IPv6 address is malformed")?;
        match port.strip_prefix(':') {
            None if port.is_empty() => (host, None),
            None => return Err("something stands between ] and the port"),
            Some(port) => (host, Some(port)),
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err("no host");
    }
    if !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c)) {
        return Err("a host is malformed");
    }
    let port = port.map_or(Ok(default), |port| port.parse().map_err(|_| ()));
    match port {
        Ok(port) if port > 0 => Ok(Address {
            host: host.to_owned(),
            port,
        }),
        _ => Err("a port is not a number from 1 to 65535"),
    }
}

fn mode(kind: &str, path: &str) -> Result<(Mode, u32), Wrong> {
    match kind {
        "sentinel" => {
            let (master, database) = path.split_once('/').unwrap_or((path, ""));
            let master = decode(master)?.to_string();
            if master.is_empty() {
                return Err("the master's name is missing after the sentinels");
            }
            Ok((Mode::Sentinel { master }, number(database)?))
        }
        "cluster" if number(path)? != 0 => Err("a cluster has database 0 alone"),
        "cluster" => Ok((Mode::Cluster, 0)),
        _ => Ok((Mode::Single, number(path)?)),
    }
}

fn number(database: &str) -> Result<u32, Wrong> {
    if database.is_empty() {
        return Ok(0);
    }
    database
        .parse()
        .ok()
        .filter(|number| *number <= 1 << 20)
        .ok_or("the database is not a number up to 1048576")
}

fn login(text: &str) -> Result<Login, Wrong> {
    let (user, password) = text
        .split_once(':')
        .ok_or("a : is missing between user and password; without a user write :password@")?;
    if password.is_empty() {
        return Err("the password is empty");
    }
    Ok(Login {
        user: Some(decode(user)?.to_string()).filter(|user| !user.is_empty()),
        password: decode(password)?,
    })
}

fn sentinel_login(query: &str) -> Result<Login, Wrong> {
    let (mut user, mut password) = (None, None);
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sentinel_user", value)) => user = Some(decode(value)?.to_string()),
            Some(("sentinel_password", value)) => password = Some(decode(value)?),
            _ => return Err("the query holds more than sentinel_user and sentinel_password"),
        }
    }
    Ok(Login {
        user,
        password: password
            .filter(|password| !password.is_empty())
            .ok_or("sentinel_password is missing or empty")?,
    })
}

fn decode(text: &str) -> Result<Zeroizing<String>, Wrong> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| "a percent-encoded part is no UTF-8")?;
    Ok(Zeroizing::new(text.into_owned()))
}
