//! One fault after the other, the table of them, and what must hold over all.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context as _, ensure};
use comfy_table::Table;

use crate::scene::{OPERATOR, Scene};
use crate::{audit, history, rights};

mod api_server;
mod certificate;
mod killed;
mod lease;
mod streams;

const COLUMNS: [&str; 6] = ["fault", "what was seen", "answers", "changes", "Programmed", "seconds"];

/// What came of the faults so far; a failed one does not hide the next.
struct Book<'a> {
    scene: &'a Scene<'a>,
    table: Table,
    judged: history::Judged,
    failures: Vec<String>,
}

/// Runs every fault and judges what was seen of it.
pub(crate) async fn run(scene: &Scene<'_>) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.set_header(COLUMNS);
    let mut book = Book {
        scene,
        table,
        judged: history::Judged::default(),
        failures: Vec::new(),
    };
    book.enter("leader deleted", killed::leader_leaves(scene)).await?;
    book.enter("operator killed mid-push", killed::replicas_die(scene))
        .await?;
    book.enter("slow reader", streams::slow_reader(scene)).await?;
    book.enter("half-open stream", streams::half_open(scene)).await?;
    book.enter("certificate expired", certificate::expires(scene)).await?;
    book.enter("lease lost mid-write", lease::lost(scene)).await?;
    book.enter("API server away", api_server::away(scene)).await?;
    say(&format!("{}\n{}", book.table, memory(scene).await?));
    if let Err(error) = rights::exercise(scene).await {
        book.failures.push(format!("{error:#}"));
    }
    let log = audit::read(scene.cluster)?;
    for judged in [audit::only_leaders_write(&log), rights::compare(scene, &log).await] {
        match judged {
            Ok(seen) => say(&seen),
            Err(error) => book.failures.push(format!("{error:#}")),
        }
    }
    ensure!(book.failures.is_empty(), "{}", book.failures.join("\n"));
    Ok(())
}

impl Book<'_> {
    /// Runs one fault: it must do what it says, no call of the app may fail in it, and the history be right up to its end.
    async fn enter(&mut self, name: &str, fault: impl Future<Output = anyhow::Result<String>>) -> anyhow::Result<()> {
        say(&format!("fault: {name}"));
        let (before, began_ms) = (self.scene.traffic().await?, self.scene.lookout.now_ms());
        let seen = fault.await;
        let answers = self
            .scene
            .ensure_answered(&before)
            .await
            .map(|answers| answers.to_string());
        let judged = match history::check(&self.scene.lookout.history()) {
            Ok(judged) => judged,
            // All that follows would fail by the same.
            Err(problems) => anyhow::bail!("{name}: {}", problems.join("\n")),
        };
        let turns = judged.turns - self.judged.turns;
        let programmed = judged.programmed - self.judged.programmed;
        self.judged = judged;
        if turns == 0 || programmed == 0 {
            self.failures.push(format!("{name}: nothing was there to judge"));
        }
        let seconds = (self.scene.lookout.now_ms() - began_ms) / 1_000;
        let words = [seen, answers].map(|word| {
            word.context(name.to_owned()).unwrap_or_else(|error| {
                self.failures.push(format!("{error:#}"));
                format!("FAILED: {error:#}")
            })
        });
        let numbers = [turns, programmed].map(|number| number.to_string());
        let [seen, answers] = words;
        let [turns, programmed] = numbers;
        let row = [name.to_owned(), seen, answers, turns, programmed, seconds.to_string()];
        say(&row.join(" | "));
        self.table.add_row(row);
        Ok(())
    }
}

/// Memory of each replica.
async fn memory(scene: &Scene<'_>) -> anyhow::Result<String> {
    let (leader, follower) = scene.replicas().await?;
    let mut text = String::from("memory of the replicas:");
    for pod in [leader, follower] {
        let mib = scene.cluster.process(&pod, OPERATOR)?.resident_kib()? >> 10;
        write!(text, " {pod} {mib} MiB")?;
    }
    Ok(text)
}

/// Says something to whoever runs the test; a captured line would show only when it fails.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
