//! `completion`: scripts by which shells complete words; kubectl asks a program of its own, which asks `__complete`.

use clap::{Command, CommandFactory as _, ValueEnum};
use clap_complete::Shell;
use serde_json::json;

use crate::Cli;
use crate::output::{Output, say, say_json};

mod words;

/// Write a script that completes commands and flags.
#[derive(Debug, clap::Args)]
#[command(after_help = "For the program kubectl-llmcache:\n  \
    bash        source <(kubectl-llmcache completion bash), or write it to \
    ~/.local/share/bash-completion/completions/kubectl-llmcache\n  \
    zsh         kubectl-llmcache completion zsh > \"${fpath[1]}/_kubectl-llmcache\"\n  \
    fish        kubectl-llmcache completion fish > ~/.config/fish/completions/kubectl-llmcache.fish\n  \
    powershell  kubectl-llmcache completion powershell | Out-String | Invoke-Expression\n\
    For `kubectl llmcache` in any shell that completes kubectl (1.26 or later), a program beside kubectl-llmcache:\n  \
    kubectl llmcache completion kubectl > kubectl_complete-llmcache && chmod +x kubectl_complete-llmcache\n\
    Exit codes: 0 ok, 2 usage.")]
pub(crate) struct Args {
    /// Whose script.
    #[arg(value_name = "SHELL")]
    shell: Target,
    /// Form of the result.
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: Output,
}

/// Who completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    Bash,
    Fish,
    /// The program that kubectl asks to complete `kubectl llmcache`.
    Kubectl,
    Powershell,
    Zsh,
}

/// What kubectl wants completed.
#[derive(Debug, clap::Args)]
pub(crate) struct Words {
    /// The words after `kubectl llmcache`, the last one unfinished.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// The name that kubectl's plugin has.
const PROGRAM: &str = "kubectl-llmcache";
/// kubectl runs this program with the words as arguments.
const KUBECTL: &str = "#!/bin/sh\nexec kubectl-llmcache __complete -- \"$@\"\n";
/// Offer no file names.
const NO_FILES: &str = ":4";
/// Let the shell do what it does anyway.
const DEFAULT: &str = ":0";

/// Writes the script.
pub(crate) fn run(args: &Args) {
    let script = match args.shell {
        Target::Bash => script(Shell::Bash),
        Target::Fish => script(Shell::Fish),
        Target::Kubectl => KUBECTL.into(),
        Target::Powershell => script(Shell::PowerShell),
        Target::Zsh => script(Shell::Zsh),
    };
    match args.output {
        Output::Json => say_json(&json!({"script": script})),
        Output::Text => say(script.trim_end()),
    }
}

/// Answers kubectl: one candidate a line, then what the shell is to do.
pub(crate) fn complete(words: &Words) {
    let found = words::complete(&command(), &words.words);
    found.candidates.iter().for_each(|candidate| say(candidate));
    say(if found.wants_file { DEFAULT } else { NO_FILES });
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The commands with everything that the flags before them add.
fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let script = script(shell);
            for word in ["invalidate", "all-namespaces", "kubectl-llmcache"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        assert!(KUBECTL.contains("__complete -- \"$@\""));
    }
}
