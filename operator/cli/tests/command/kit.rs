//! The binary, asked and read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary with an environment of its own: nothing of the developer's settings reaches it.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-llmcache"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The folder of the semantic cache's model, if the run has one.
#[cfg(feature = "local")]
pub(crate) fn model_folder() -> Option<String> {
    let folder = std::env::var("LLMCACHE_MODEL_DIR").ok();
    if folder.is_none() {
        eprintln!("LLMCACHE_MODEL_DIR is not set: this test needs the folder that tests/setup/model.sh makes");
    }
    folder
}
