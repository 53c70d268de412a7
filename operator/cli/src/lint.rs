//! `lint`: the verdict the API server and the operator would give on policies and invalidations, offline and all at once.

use std::path::{Path, PathBuf};

use llmcache_crds::LLMCacheInvalidation;
use llmcache_operator::compile::{NAMESPACE, compile};
use llmcache_operator::validate::{Objects, Problem, Validated, Warning, objects};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::input;
use crate::output::{Output, say, say_json};

/// Check files of policies and invalidations; every problem names its line, field, value, what is allowed and the fix.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 ok (warnings included), 1 problems found, 2 a file cannot be read, or usage.")]
pub(crate) struct Args {
    /// Files of one or more policies and invalidations, YAML or JSON; `-` is stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Form of the result.
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: Output,
}

/// What one file turned out to be.
struct Verdict {
    file: String,
    policies: Vec<Named>,
    /// Namespaces and names.
    invalidations: Vec<String>,
    problems: Vec<Problem>,
    /// The file could not be read at all.
    unreadable: Option<String>,
}

struct Named {
    name: String,
    revision: String,
    warnings: Vec<Warning>,
}

/// Checks every file, whatever is wrong with the others.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let verdicts: Vec<_> = args.files.iter().map(|file| judge(file)).collect();
    match args.output {
        Output::Json => say_json(&report(&verdicts)),
        Output::Text => verdicts.iter().flat_map(Verdict::lines).for_each(|line| say(&line)),
    }
    let unreadable: Vec<_> = verdicts
        .iter()
        .filter_map(|verdict| verdict.unreadable.clone())
        .collect();
    if !unreadable.is_empty() {
        return Err(Failure::Usage(unreadable));
    }
    let problems = verdicts.iter().map(|verdict| verdict.problems.len()).sum();
    match problems {
        0 => Ok(()),
        1 => Err(Failure::Problems(vec!["1 problem found".into()])),
        _ => Err(Failure::Problems(vec![format!("{problems} problems found")])),
    }
}

fn judge(file: &Path) -> Verdict {
    let mut verdict = Verdict {
        file: file.display().to_string(),
        policies: Vec::new(),
        invalidations: Vec::new(),
        problems: Vec::new(),
        unreadable: None,
    };
    match input::read(file).map(|text| objects(&text)) {
        Err(reason) => verdict.unreadable = Some(reason),
        Ok(Err(problems)) => verdict.problems = problems,
        Ok(Ok(Objects {
            policies,
            invalidations,
        })) => {
            let policies = policies.into_iter();
            verdict.policies = policies.map(|(policy, warnings)| named(&policy, warnings)).collect();
            verdict.invalidations = invalidations.iter().map(name).collect();
        }
    }
    verdict
}

fn name(invalidation: &LLMCacheInvalidation) -> String {
    let metadata = &invalidation.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or(NAMESPACE);
    let generated = metadata.generate_name.as_ref().map(|start| format!("{start}*"));
    let name = metadata.name.clone().or(generated).unwrap_or_default();
    format!("{namespace}/{name}")
}

fn named(policy: &Validated, warnings: Vec<Warning>) -> Named {
    let snapshot = compile(policy);
    let identity = &snapshot.identity;
    Named {
        name: format!("{}/{}", identity.namespace, identity.name),
        revision: snapshot.revision().0,
        warnings,
    }
}

impl Verdict {
    fn lines(&self) -> Vec<String> {
        let file = &self.file;
        let problems = self.problems.iter().map(|problem| format!("{file}: {problem}"));
        let policies = self.policies.iter().flat_map(
            |Named {
                 name,
                 revision,
                 warnings,
             }| {
                let warnings = warnings
                    .iter()
                    .map(move |warning| format!("{file}: {name}: warning: {warning}"));
                warnings.chain([format!("{file}: {name}: ok, revision {revision}")])
            },
        );
        let invalidations = self.invalidations.iter().map(|name| format!("{file}: {name}: ok"));
        problems.chain(policies).chain(invalidations).collect()
    }

    fn json(&self) -> Value {
        let problem = |problem: &Problem| {
            let Problem {
                document,
                line,
                path,
                value,
                message,
                allowed,
                fix,
            } = problem;
            json!({
                "document": document, "line": line, "path": path, "value": value,
                "message": message, "allowed": allowed, "fix": fix,
            })
        };
        let warning = |warning: &Warning| json!({"path": warning.path, "message": warning.message});
        let policy = |Named {
                          name,
                          revision,
                          warnings,
                      }: &Named| {
            let warnings: Vec<_> = warnings.iter().map(warning).collect();
            json!({"policy": name, "revision": revision, "warnings": warnings})
        };
        json!({
            "file": self.file,
            "error": self.unreadable,
            "policies": self.policies.iter().map(policy).collect::<Vec<_>>(),
            "invalidations": self.invalidations,
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
        })
    }
}

fn report(verdicts: &[Verdict]) -> Value {
    let is_ok = verdicts
        .iter()
        .all(|verdict| verdict.unreadable.is_none() && verdict.problems.is_empty());
    json!({"ok": is_ok, "files": verdicts.iter().map(Verdict::json).collect::<Vec<_>>()})
}
