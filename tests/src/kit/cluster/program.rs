//! kubectl, helm and ctr, as a person at a shell runs them.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Cluster;

/// How a program ended and what it said.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Done {
    /// What it printed, or an error with all it said when it failed.
    pub fn ok(self) -> anyhow::Result<String> {
        ensure!(self.code == 0, "exit {}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self.stdout)
    }
}

impl Cluster {
    /// Runs kubectl.
    pub async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Done> {
        self.run("kubectl", arguments, "").await
    }

    /// Runs kubectl with objects on its standard input, for `-f -`.
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<Done> {
        self.run("kubectl", arguments, input).await
    }

    /// Runs helm.
    pub async fn helm(&self, arguments: &[&str]) -> anyhow::Result<Done> {
        self.run("helm", arguments, "").await
    }

    /// Gives the node an image: the archive `NAME.tar` of the folder that `LLMCACHE_E2E_IMAGES` names.
    pub async fn load_image(&self, name: &str) -> anyhow::Result<()> {
        let folder = std::env::var_os("LLMCACHE_E2E_IMAGES")
            .context("LLMCACHE_E2E_IMAGES names no folder of images: run `make e2e`")?;
        self.load_archive(&Path::new(&folder).join(format!("{name}.tar"))).await
    }

    /// Gives the node the image of an archive.
    pub async fn load_archive(&self, archive: &Path) -> anyhow::Result<()> {
        let archive = archive.to_str().context("the archive's path is no UTF-8")?;
        self.run("ctr", &["images", "import", archive], "").await?.ok()?;
        Ok(())
    }

    /// Runs any program where kubectl, helm and ctr talk to this cluster.
    pub async fn run(&self, program: &str, arguments: &[&str], input: &str) -> anyhow::Result<Done> {
        let mut child = Command::new(self.find(program))
            .args(arguments)
            .envs(&self.settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        let mut stdin = child.stdin.take().context("the child has no stdin")?;
        let write = async move {
            // A program that reads none of it closes the pipe.
            let _ = stdin.write_all(input.as_bytes()).await;
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        let output = output?;
        Ok(Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// A program by the cluster's own search path: a child is looked up by its parent's.
    fn find(&self, program: &str) -> std::path::PathBuf {
        let found = std::env::split_paths(self.setting("PATH")).map(|folder| folder.join(program));
        found
            .into_iter()
            .find(|path| path.exists())
            .unwrap_or_else(|| program.into())
    }
}

/// Says something to whoever runs the tests; a captured line would show only when the test fails.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "llmcache: {line}");
}
