//! Aligned columns for people.

/// How the columns after the first stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows in aligned columns, the first to the left.
pub(crate) fn aligned<Row: AsRef<[String]>>(rows: &[Row], align: Align) -> String {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Row| {
        let cells = row.as_ref().iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match (column, align) {
            (0, _) | (_, Align::Left) => format!("{cell:<width$}"),
            (_, Align::Right) => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["model", "total"], ["gpt-6.2-sol", "0.1"]].map(|row| row.map(String::from));
        assert_eq!(aligned(&rows, Align::Right), "model        total\ngpt-6.2-sol    0.1");
        assert_eq!(aligned(&rows, Align::Left), "model        total\ngpt-6.2-sol  0.1");
    }
}
