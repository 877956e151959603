//! Figures of this switch and of what it is measured by, side by side.

use std::fmt;

use end_to_end::Programs;

/// Whose figure it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Column {
    /// This switch's.
    Ours,
    /// What it is measured by.
    Other,
}

impl From<Programs> for Column {
    fn from(programs: Programs) -> Column {
        match programs {
            Programs::Ours => Column::Ours,
            Programs::Reference => Column::Other,
        }
    }
}

/// One figure in all runs of each column.
struct Row {
    what: String,
    ours: Vec<f64>,
    other: Vec<f64>,
}

/// The figures, in the order in which they came.
pub(crate) struct Table {
    /// What the other column shows.
    other: &'static str,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(other: &'static str) -> Table {
        Table { other, rows: Vec::new() }
    }

    /// Takes a figure of one run.
    pub(crate) fn add(&mut self, what: &str, column: impl Into<Column>, figure: f64) {
        let column = column.into();
        eprintln!(
            "  {what}, {}: {}",
            if column == Column::Ours { "ours" } else { self.other },
            short(figure)
        );
        let at = self.rows.iter().position(|row| row.what == what).unwrap_or_else(|| {
            self.rows.push(Row { what: what.to_owned(), ours: Vec::new(), other: Vec::new() });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        match column {
            Column::Ours => row.ours.push(figure),
            Column::Other => row.other.push(figure),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return Ok(());
        }
        writeln!(f, "| what | ours | {} | ratio |\n|---|---|---|---|", self.other)?;
        for row in &self.rows {
            let ratios: Vec<f64> = row.ours.iter().zip(&row.other).map(|(a, b)| a / b).collect();
            let (ours, other, ratio) = (spread(&row.ours), spread(&row.other), spread(&ratios));
            writeln!(f, "| {} | {ours} | {other} | {ratio} |", row.what)?;
        }
        Ok(())
    }
}

/// The median, and the extremes where they differ.
fn spread(figures: &[f64]) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(&least), Some(&most)) = (sorted.first(), sorted.last()) else { return "-".to_owned() };
    let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
    match sorted.len() {
        1 => short(median),
        _ => format!("{} ({}–{})", short(median), short(least), short(most)),
    }
}

/// Three digits are as many as there is truth in.
fn short(figure: f64) -> String {
    let size = figure.abs();
    let digits =
        if size >= 100.0 || size == 0.0 { 0 } else { (2 - size.log10().floor() as i32).max(0) as usize };
    format!("{figure:.digits$}")
}
