//! Words that may follow on a command line, read off the commands themselves.

use clap::{Arg, Command, ValueHint};

/// What may stand where the cursor is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Each with its help after a tab, where it has any.
    pub(super) candidates: Vec<String>,
    /// Whether a file's name may stand there too.
    pub(super) wants_file: bool,
}

/// Completes the last word, which is unfinished and may be empty.
pub(super) fn complete(root: &Command, words: &[String]) -> Found {
    let (unfinished, before) = words
        .split_last()
        .map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut command = root;
    let mut open: Option<&Arg> = None;
    for word in before {
        let closed = open.take();
        if closed.is_some() {
            continue;
        }
        if word.starts_with('-') {
            open = flag(command, word).filter(|arg| takes_next(arg, word));
        } else if let Some(inner) = command.find_subcommand(word) {
            command = inner;
        }
    }
    if let Some(arg) = open {
        return values(arg, unfinished, "");
    }
    match unfinished.split_once('=') {
        Some((name, value)) if name.starts_with("--") => {
            flag(command, name).map_or_else(Found::default, |arg| values(arg, value, &format!("{name}=")))
        }
        _ if unfinished.starts_with('-') => flags(command, unfinished),
        _ => names(command, unfinished),
    }
}

fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        let long = arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        long || arg.get_short().is_some_and(|short| word == format!("-{short}"))
    })
}

fn takes_next(arg: &Arg, word: &str) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set() && !word.contains('=')
}

fn values(arg: &Arg, unfinished: &str, before: &str) -> Found {
    let possible = arg.get_possible_values();
    let fitting = possible.iter().filter(|value| value.get_name().starts_with(unfinished));
    Found {
        candidates: fitting
            .map(|value| described(&format!("{before}{}", value.get_name()), value.get_help()))
            .collect(),
        wants_file: arg.get_value_hint() == ValueHint::AnyPath || possible.is_empty() && is_path(arg),
    }
}

fn is_path(arg: &Arg) -> bool {
    let names = arg.get_value_names().into_iter().flatten();
    names
        .into_iter()
        .any(|name| ["FILE", "FOLDER", "POLICY"].contains(&name.as_str()))
}

fn flags(command: &Command, unfinished: &str) -> Found {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let longs = shown.filter_map(|arg| Some((format!("--{}", arg.get_long()?), arg.get_help())));
    let fitting = longs.filter(|(long, _)| long.starts_with(unfinished));
    Found {
        candidates: fitting.map(|(long, help)| described(&long, help)).collect(),
        wants_file: false,
    }
}

/// Commands, or the values of the positional argument.
fn names(command: &Command, unfinished: &str) -> Found {
    let shown = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    let fitting = shown.filter(|inner| inner.get_name().starts_with(unfinished));
    let mut found = Found {
        candidates: fitting
            .map(|inner| described(inner.get_name(), inner.get_about()))
            .collect(),
        wants_file: false,
    };
    for arg in command.get_positionals() {
        let of_arg = values(arg, unfinished, "");
        found.candidates.extend(of_arg.candidates);
        found.wants_file |= of_arg.wants_file;
    }
    found
}

fn described(word: &str, help: Option<&clap::builder::StyledStr>) -> String {
    help.map_or_else(|| word.to_owned(), |help| format!("{word}\t{help}"))
}

#[cfg(test)]
mod tests {
    fn complete(words: &[&str]) -> (Vec<String>, bool) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let found = super::complete(&super::super::command(), &words);
        let first = |candidate: String| candidate.split('\t').next().unwrap_or_default().to_owned();
        (found.candidates.into_iter().map(first).collect(), found.wants_file)
    }

    #[test]
    fn commands_flags_and_values_are_completed_where_they_may_stand() {
        assert_eq!(complete(&["st"]).0, ["status"]);
        assert!(!complete(&[""]).0.contains(&"__complete".to_owned()));
        assert_eq!(complete(&["explain", "p"]).0, ["pod", "policy"]);
        assert_eq!(complete(&["status", "-n", "shop", "--all"]).0, ["--all-namespaces"]);
        assert_eq!(complete(&["status", "-o", "j"]).0, ["json"]);
        assert_eq!(complete(&["status", "--output=j"]).0, ["--output=json"]);
        assert_eq!(complete(&["invalidate", "--layer", "Res"]).0, ["ResultCache"]);
        assert_eq!(complete(&["invalidate", "--wait", "--dry"]).0, ["--dry-run"]);
        assert_eq!(complete(&["lint", ""]), (Vec::new(), true));
        assert_eq!(complete(&["status", "-n", ""]), (Vec::new(), false));
        assert_eq!(complete(&["--kubeconfig", "x", "expl"]).0, ["explain"]);
    }

    #[cfg(feature = "local")]
    #[test]
    fn measuring_commands_are_completed_with_their_files_and_folders() {
        assert_eq!(complete(&["ev"]).0, ["eval"]);
        assert_eq!(complete(&["cal"]).0, ["calibrate"]);
        assert_eq!(complete(&["eval", "--pairs", ""]), (Vec::new(), true));
        assert_eq!(complete(&["calibrate", "--model", ""]), (Vec::new(), true));
        assert_eq!(complete(&["calibrate", "-f", ""]), (Vec::new(), true));
        assert_eq!(complete(&["calibrate", "-o", "t"]).0, ["text"]);
    }
}
