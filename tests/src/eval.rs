//! `make eval`: the semantic cache on a stream of real questions whose right answers are known, through the real proxy,
//! beside the fixed thresholds that others serve by.
//!
//! A question is right to answer with another's answer if both have one intent. Answers are prose that names the intent,
//! so that the stream's labels come by feedback alone.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_table::Table;
use flate2::read::GzDecoder;
use serde::Deserialize;

mod fixed;
mod order;
mod stream;

use order::Order;

/// `maxFalseHitRate` of the runs.
const BUDGETS: [&str; 3] = ["0.005", "0.01", "0.02"];
/// Cosines above which others serve, in ten-thousandths.
const THRESHOLDS: [u16; 3] = [8_000, 9_000, 9_500];

/// What to evaluate on.
#[derive(Debug)]
pub struct Plan {
    /// The folder that holds `banking-intents.jsonl.gz`.
    pub data: PathBuf,
    /// The model folder of the semantic cache.
    pub model: PathBuf,
    /// Questions of each stream at most.
    pub questions: usize,
}

/// One question and what it asks for.
#[derive(Debug, Clone, Deserialize)]
struct Question {
    text: String,
    intent: String,
}

/// What came of one stream.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Outcome {
    asked: usize,
    served: usize,
    wrong: usize,
    labels: usize,
    wrong_labels: usize,
    /// Questions asked before the first was served.
    opened: Option<usize>,
}

/// Plays every stream and gives the table.
pub async fn run(plan: &Plan, mut progress: impl FnMut(&str)) -> anyhow::Result<String> {
    let all = read(&plan.data.join("banking-intents.jsonl.gz"))?;
    let mut table = Table::new();
    table.set_header([
        "order",
        "serves by",
        "asked",
        "served",
        "share",
        "wrong",
        "of served",
        "labels",
        "wrong of labels",
        "first served at",
    ]);
    for order in [Order::Random, Order::Bursts] {
        let questions: Vec<Question> = order.of(&all).into_iter().take(plan.questions).collect();
        for budget in BUDGETS {
            progress(&format!("{} order, budget {budget}", order.word()));
            let outcome = stream::play(plan, &questions, budget).await?;
            table.add_row(outcome.row(order, &format!("evidence, budget {budget}")));
        }
        progress(&format!("{} order, fixed thresholds", order.word()));
        for (threshold, outcome) in fixed::play(plan, &questions, &THRESHOLDS).await? {
            table.add_row(outcome.row(order, &format!("cosine above {}", f64::from(threshold) / 10_000.0)));
        }
    }
    Ok(table.to_string())
}

impl Outcome {
    fn row(&self, order: Order, by: &str) -> [String; 10] {
        [
            order.word().to_owned(),
            by.to_owned(),
            self.asked.to_string(),
            self.served.to_string(),
            percent(self.served, self.asked),
            self.wrong.to_string(),
            percent(self.wrong, self.served),
            self.labels.to_string(),
            percent(self.wrong_labels, self.labels),
            self.opened.map_or_else(|| "never".into(), |at| at.to_string()),
        ]
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<Question>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    BufReader::new(GzDecoder::new(file))
        .lines()
        .map(|line| serde_json::from_str(&line?).with_context(|| format!("{}: no question", path.display())))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "shares are shown with two decimals")]
fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "-".into();
    }
    format!("{:.2} %", 100.0 * part as f64 / whole as f64)
}
