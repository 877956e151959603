//! Figures of both switches side by side.

use std::fmt;

use end_to_end::Programs;

/// One figure in all runs of each switch.
struct Row {
    what: String,
    ours: Vec<f64>,
    reference: Vec<f64>,
}

/// The figures, in the order in which they came.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Takes a figure of one run.
    pub(crate) fn add(&mut self, what: &str, programs: Programs, figure: f64) {
        eprintln!("  {what}, {programs:?}: {}", short(figure));
        let at = self.0.iter().position(|row| row.what == what).unwrap_or_else(|| {
            self.0.push(Row { what: what.to_owned(), ours: Vec::new(), reference: Vec::new() });
            self.0.len() - 1
        });
        let row = &mut self.0[at];
        match programs {
            Programs::Ours => row.ours.push(figure),
            Programs::Reference => row.reference.push(figure),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | ours | reference | ratio |\n|---|---|---|---|")?;
        for row in &self.0 {
            let ratios: Vec<f64> = row.ours.iter().zip(&row.reference).map(|(a, b)| a / b).collect();
            let (ours, reference, ratio) = (spread(&row.ours), spread(&row.reference), spread(&ratios));
            writeln!(f, "| {} | {ours} | {reference} | {ratio} |", row.what)?;
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
