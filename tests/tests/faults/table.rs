//! The matrix as a table.

use std::time::Duration;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};

use crate::traffic::{Column, Tally};
use crate::trouble::Trouble;

/// One kind of trouble and what came of each column.
pub(crate) struct Row {
    pub(crate) trouble: Trouble,
    pub(crate) tallies: Vec<(Column, Tally)>,
}

impl Row {
    pub(crate) fn new(trouble: Trouble, mut tallies: Vec<(Column, Tally)>) -> Self {
        for (_, tally) in &mut tallies {
            tally.times.sort_unstable();
        }
        Self { trouble, tallies }
    }

    pub(crate) fn hits(&self) -> usize {
        let hits = self.tallies.iter().filter(|(column, _)| *column == Column::Hit);
        hits.map(|(_, tally)| tally.hits).sum()
    }
}

/// All rows, a line for each cell.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut table = Table::new();
    let head = [
        "fault",
        "asked",
        "requests",
        "hits",
        "failed",
        "wrong",
        "added median",
        "added most",
    ];
    table.load_style(UTF8_BORDERS_ONLY).set_header(head);
    for row in rows {
        for (index, (column, tally)) in row.tallies.iter().enumerate() {
            table.add_row([
                if index == 0 {
                    row.trouble.name().to_owned()
                } else {
                    String::new()
                },
                format!("{column:?}").to_lowercase(),
                tally.requests.to_string(),
                tally.hits.to_string(),
                tally.failed.to_string(),
                tally.wrong.to_string(),
                time(tally.times.get(tally.times.len() / 2)),
                time(tally.times.last()),
            ]);
        }
    }
    for index in 2..head.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn time(time: Option<&Duration>) -> String {
    format!("{:.1} ms", time.copied().unwrap_or_default().as_secs_f64() * 1_000.0)
}
