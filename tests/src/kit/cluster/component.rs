//! The cluster's own processes, for tests that freeze one.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::Cluster;

impl Cluster {
    /// Sends a signal to a component such as `kube-apiserver`, to freeze it and let it go on; one that ends ends all.
    pub fn signal(&self, component: &str, signal: Signal) -> anyhow::Result<()> {
        let mut found = fs::read_dir("/proc")?.flatten().map(|entry| entry.path());
        let process = found
            .find(|process| self.is(process, component))
            .with_context(|| format!("{component} does not run"))?;
        let id = process.file_name().and_then(|name| name.to_str()?.parse().ok());
        let pid = id.and_then(Pid::from_raw).context("the process has no number")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {component}"))
    }

    /// Whether a process of `/proc` is this component of this cluster: all of them live in its folder.
    fn is(&self, process: &Path, component: &str) -> bool {
        let lives_here = fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == self.folder);
        lives_here && fs::read(process.join("cmdline")).is_ok_and(|line| is_called(&line, component))
    }

    /// Fails unless a component still runs, naming where its log is.
    pub fn ensure_alive(&self, component: &str) -> anyhow::Result<()> {
        let mut found = fs::read_dir("/proc")?.flatten().map(|entry| entry.path());
        let lives = found.any(|process| self.is(&process, component));
        ensure!(
            lives,
            "{component} has ended: see {}",
            self.folder.join("logs").display()
        );
        Ok(())
    }
}

/// Whether a command line starts with a program of this name.
fn is_called(line: &[u8], component: &str) -> bool {
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    program.rsplit(|byte| *byte == b'/').next() == Some(component.as_bytes())
}
