//! Tables for a terminal.

use std::fmt;

/// Rows under a title and a head. The first columns hold words and are flush left, the others numbers, flush right.
pub struct Table<const COLUMNS: usize> {
    title: &'static str,
    words: usize,
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// An empty one, whose first `words` columns hold words.
    pub fn new(title: &'static str, words: usize, head: [&str; COLUMNS]) -> Self {
        Self { title, words, rows: vec![head.map(str::to_owned)] }
    }

    pub fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells);
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        writeln!(f, "\n{}\n", self.title)?;
        for row in &self.rows {
            let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                if column < self.words { format!("  {cell:<width$}") } else { format!("  {cell:>width$}") }
            });
            writeln!(f, "{}", cells.collect::<String>().trim_end())?;
        }
        Ok(())
    }
}
