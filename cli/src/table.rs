//! Tables for people, without lines.

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets};

/// Columns under their headings.
pub(crate) fn columns<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = plain();
    table.set_header(headings);
    table.add_rows(rows);
    rendered(&table)
}

/// Names and what they are, without those that are nothing.
pub(crate) fn named<N: AsRef<str>>(rows: impl IntoIterator<Item = (N, String)>) -> String {
    let mut table = plain();
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row([&format!("  {}", name.as_ref()), &value]);
    }
    rendered(&table)
}

/// The same under a title.
pub(crate) fn section<N: AsRef<str>>(title: &str, rows: impl IntoIterator<Item = (N, String)>) -> String {
    format!("{title}\n{}", named(rows))
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn rendered(table: &Table) -> String {
    // The left-most column has a blank before it.
    let lines = table.trim_fmt();
    let lines: Vec<_> = lines.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n") + "\n"
}

/// A time, for people.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An amount, for people.
pub(crate) fn amount(value: f64, currency: &str) -> String {
    format!("{value:.2} {currency}")
}
