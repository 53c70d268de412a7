//! The programs in the pods of a node, as root of the test's machine sees them: for tests that freeze or kill one, or look
//! into a pod without asking the API server.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Cluster;

/// Longest wait for a connection within a pod.
const CONNECT: Duration = Duration::from_secs(2);
/// Longest wait for an answer within a pod; a frozen one answers late.
const ANSWER: Duration = Duration::from_secs(30);

/// A running process of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(Pid);

impl Cluster {
    /// The process with this command line in the pod whose name one of its variables has.
    pub fn process(&self, pod: &str, command: &str) -> anyhow::Result<Process> {
        let group = format!("/llmcache-{}/", self.setting("CLUSTER_INDEX"));
        let is_it = |process: &Path| {
            let read = |file: &str| fs::read(process.join(file)).unwrap_or_default();
            let arguments = read("cmdline");
            let words: Vec<&[u8]> = arguments
                .split(|byte| *byte == 0)
                .filter(|word| !word.is_empty())
                .collect();
            let is_in_pod = || {
                let variables = read("environ");
                let values = variables.split(|byte| *byte == 0);
                let mut values = values.filter_map(|variable| variable.split(|byte| *byte == b'=').nth(1));
                values.any(|value| value == pod.as_bytes())
            };
            words.join(&b' ') == command.as_bytes() && contains(&read("cgroup"), group.as_bytes()) && is_in_pod()
        };
        let found = fs::read_dir("/proc")?
            .flatten()
            .map(|entry| entry.path())
            .find(|process| is_it(process));
        let found = found.with_context(|| format!("pod {pod} runs no `{command}`"))?;
        let id = found.file_name().and_then(|name| name.to_str()?.parse().ok());
        id.and_then(Pid::from_raw)
            .map(Process)
            .context("the process has no number")
    }
}

impl Process {
    /// Sends a signal.
    pub fn signal(self, signal: Signal) -> anyhow::Result<()> {
        kill_process(self.0, signal).with_context(|| format!("cannot signal process {:?}", self.0))
    }

    /// Its id on the test's machine.
    pub fn id(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Memory that it holds, KiB.
    pub fn resident_kib(self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(self.folder().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .context("the process holds no memory")
    }

    /// Does something on a thread of its own that is in the network of the process's pod.
    pub fn in_network<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<std::thread::JoinHandle<anyhow::Result<T>>> {
        let network = File::open(self.folder().join("ns/net")).context("the process has ended")?;
        Ok(std::thread::spawn(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .context("cannot enter the pod's network")?;
            Ok(work())
        }))
    }

    /// What a port on the pod's loopback answers to a GET.
    pub async fn get(self, port: u16, path: &str) -> anyhow::Result<String> {
        let path = path.to_owned();
        let asked = self.in_network(move || get(port, &path))?;
        tokio::task::spawn_blocking(move || asked.join())
            .await?
            .map_err(|_| anyhow::anyhow!("the thread panicked"))??
    }

    fn folder(self) -> PathBuf {
        PathBuf::from("/proc").join(self.id().to_string())
    }
}

/// The body of the answer to a GET on the loopback of the calling thread's network; anything but 200 is an error.
pub fn get(port: u16, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), CONNECT)?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer was cut")?;
    ensure!(head.split(' ').nth(1) == Some("200"), "{path}: {head}");
    Ok(body.to_owned())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}
