//! Text tables without lines.

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets};

use crate::visible;

/// Rows under headings.
pub(crate) fn columns<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = plain();
    table.set_header(headings);
    // Before the table is laid out: what is escaped is wider.
    table.add_rows(rows.into_iter().map(|cells| cells.map(|cell| visible::text(&cell))));
    rendered(&table)
}

/// Names and values, without empty values.
pub(crate) fn fields<N: AsRef<str>>(rows: impl IntoIterator<Item = (N, String)>) -> String {
    let mut table = plain();
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row([&format!("  {}", name.as_ref()), &visible::text(&value)]);
    }
    rendered(&table)
}

/// Fields under a title.
pub(crate) fn section<N: AsRef<str>>(title: &str, rows: impl IntoIterator<Item = (N, String)>) -> String {
    format!("{title}\n{}", fields(rows))
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn rendered(table: &Table) -> String {
    // The leftmost column is padded with a blank.
    let lines = table.trim_fmt();
    let lines: Vec<_> = lines.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n") + "\n"
}

pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub(crate) fn amount(value: f64, currency: &str) -> String {
    format!("{value:.2} {currency}")
}
