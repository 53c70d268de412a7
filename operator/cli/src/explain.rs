//! `explain`: why a pod or a policy is as it is, and the command that changes it.

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::{Cluster, Connection, block_on};
use crate::failure::Failure;
use crate::output::{Output, say, say_json};
use crate::scene::Scene;

mod effective;
mod events;
mod finding;
mod pod;
mod policy;
mod sidecar;

use finding::Finding;

/// Explain why a pod or a policy is as it is, and how to change it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "pod: whether it has the sidecar and why not, which policy wins and over which others, the policy in \
    force with all defaults, the revision ordered and the one that runs, traffic, the last Events.\n\
    policy: the verdict, conflicts, its pods by state, the policy in force with all defaults, its layers, the last Events.\n\
    What runs is read through the API server (verb get on pods/portforward, from Kubernetes 1.35 create too).\n\
    Exit codes: 0 nothing to mend, 1 something is wrong and the fix is named, 2 usage, 3 the API server is unreachable."
)]
pub(crate) struct Args {
    /// What it is.
    #[arg(value_name = "pod|policy")]
    kind: Kind,
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// Form of the result.
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// What can be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Pod,
    Policy,
}

/// An answer, for people and for programs.
struct Answer {
    text: String,
    json: Value,
    findings: Vec<Finding>,
}

/// Reads, judges and shows.
pub(crate) fn run(args: &Args, before: &Connection) -> Result<(), Failure> {
    let answer = block_on(async {
        let cluster = Cluster::connect(&args.connection.or(before)).await?;
        let scene = Scene::read(&cluster, Some(&cluster.namespace)).await?;
        let now_ms = Timestamp::now().as_millisecond();
        match args.kind {
            Kind::Pod => pod::explain(&cluster, &scene, &args.name, now_ms).await,
            Kind::Policy => policy::explain(&cluster, &scene, &args.name, now_ms).await,
        }
    })?;
    match args.output {
        Output::Json => say_json(&answer.json),
        Output::Text => say(answer.text.trim_end()),
    }
    match answer.findings.len() {
        0 => Ok(()),
        1 => Err(Failure::Problems(vec!["1 problem found".into()])),
        found => Err(Failure::Problems(vec![format!("{found} problems found")])),
    }
}

/// That an object is not there, with the names that are.
fn unknown(kind: &str, cluster: &Cluster, name: &str, known: &[String]) -> Failure {
    let fix = match known {
        [] => format!("there is none in this namespace; give --namespace, or see kubectl get {kind} -A"),
        known => format!("there are {}; or give --namespace", known.join(", ")),
    };
    Failure::Problems(vec![format!(
        "NAME: no {kind} {name} in namespace {}; fix: {fix}",
        cluster.namespace
    )])
}
