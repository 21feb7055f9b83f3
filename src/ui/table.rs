//! Plain tables: upper-case heads, columns three spaces apart, as Docker's.

use super::printable;

/// Blanks between columns.
const GAP: usize = 3;

/// A table to be printed.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
    min_width: usize,
    gap: usize,
}

impl Table {
    /// A table with these column heads.
    pub fn new(heads: &[&str]) -> Self {
        Self {
            rows: vec![heads.iter().map(|&head| head.to_owned()).collect()],
            min_width: 0,
            gap: GAP,
        }
    }

    /// Puts so many blanks between columns instead.
    #[must_use]
    pub fn gap(mut self, blanks: usize) -> Self {
        self.gap = blanks;
        self
    }

    /// Makes every column but the last at least this wide, gap included
    /// (`docker compose ls` and `images` use 20).
    #[must_use]
    pub fn min_width(mut self, columns: usize) -> Self {
        self.min_width = columns;
        self
    }

    /// Adds a row. Nothing in a cell steers a terminal, and each takes one line.
    pub fn row(&mut self, cells: Vec<String>) {
        let cells = cells.into_iter().map(|cell| one_line(&cell));
        self.rows.push(cells.collect());
    }

    /// The table as text; cells are padded, the last column is not.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let widest = self
                    .rows
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0);
                (widest + self.gap).max(self.min_width)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let last = row.len().saturating_sub(1);
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                text.push_str(cell);
                if column < last {
                    let blanks = width.saturating_sub(cell.chars().count());
                    text.extend(std::iter::repeat_n(' ', blanks));
                }
            }
            text.push('\n');
        }
        text
    }
}

fn one_line(cell: &str) -> String {
    printable(cell).replace(['\n', '\t'], " ")
}

/// Shortens to `limit` characters, the last one an ellipsis.
pub fn ellipsis(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_three_blanks_apart() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(vec!["shop-web-1".into(), "running".into()]);
        table.row(vec!["ü".into(), "exited".into()]);
        assert_eq!(
            table.render(),
            "NAME         STATE\nshop-web-1   running\nü            exited\n"
        );
    }

    #[test]
    fn a_cell_stays_in_its_line_and_draws_nothing() {
        let mut table = Table::new(&["A", "B"]);
        table.row(vec!["x\ny".into(), "\u{1b}[31mred\u{9b}0m".into()]);
        assert_eq!(table.render(), "A     B\nx y   \u{fffd}[31mred\u{fffd}0m\n");
    }

    #[test]
    fn min_width_counts_the_gap() {
        let table = Table::new(&["A", "B"]).min_width(5);
        assert_eq!(table.render(), "A    B\n");
    }

    #[test]
    fn ellipsis_keeps_the_limit() {
        assert_eq!(ellipsis("sleep 1000", 20), "sleep 1000");
        assert_eq!(ellipsis("abcdef", 4), "abc…");
    }
}
