//! Tables as programs print them: for people, for spreadsheets, for browsers, for other programs.

use crate::Type;
use crate::datum::Datum;
use crate::json::{Style as JsonStyle, text as json_text};
use serde_json::{Map, Value};

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns with lines between them.
    Table,
    /// A line for each cell.
    List,
    /// An HTML table.
    Html,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// One JSON object.
    Json,
}

/// `--data`: how cells that hold column values look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellFormat {
    /// As the command line reads it back.
    String,
    /// Without quotes or brackets.
    Bare,
    /// As JSON.
    Json,
}

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The form of the whole.
    pub format: Format,
    /// The form of each cell.
    pub cells: CellFormat,
    /// With a row of headings (not `--no-headings`).
    pub headings: bool,
    /// JSON over several lines (`--pretty`).
    pub pretty: bool,
    /// Wider columns are cut (`--max-column-width`); 0 is no limit.
    pub max_column_width: usize,
}

impl Style {
    /// This form with strings in the cells, and headings.
    pub const fn new(format: Format) -> Style {
        Style { format, cells: CellFormat::String, headings: true, pretty: false, max_column_width: 0 }
    }

    /// `--format`; the error is for people.
    pub fn set_format(&mut self, name: &str) -> Result<(), String> {
        self.format = match name {
            "table" => Format::Table,
            "list" => Format::List,
            "html" => Format::Html,
            "csv" => Format::Csv,
            "json" => Format::Json,
            _ => return Err(format!("unknown output format \"{name}\"")),
        };
        Ok(())
    }

    /// `--data`; the error is for people.
    pub fn set_cells(&mut self, name: &str) -> Result<(), String> {
        self.cells = match name {
            "string" => CellFormat::String,
            "bare" => CellFormat::Bare,
            "json" => CellFormat::Json,
            _ => return Err(format!("unknown data format \"{name}\"")),
        };
        Ok(())
    }

    /// `--bare`.
    pub fn set_bare(&mut self) {
        self.format = Format::List;
        self.cells = CellFormat::Bare;
        self.headings = false;
    }
}

/// One cell.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Text that is no column value.
    Text(String),
    /// The value of a column of this type.
    Datum(Datum, Type),
    /// Any JSON.
    Json(Value),
}

/// A table to be printed.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// A line above the table.
    pub caption: Option<String>,
    /// A time, above everything else.
    pub timestamp: Option<String>,
    /// A heading for each column.
    pub headings: Vec<String>,
    /// Rows of as many cells as there are headings.
    pub rows: Vec<Vec<Cell>>,
}

impl Cell {
    fn text(&self, style: &Style) -> String {
        let sorted = |json: &Value| json_text(json, JsonStyle { sort: true, pretty: false });
        match (self, style.cells) {
            (Cell::Empty, _) => String::new(),
            (Cell::Text(text), _) => text.clone(),
            (Cell::Json(json), _) => sorted(json),
            (Cell::Datum(datum, r#type), CellFormat::Json) => sorted(&datum.to_json(r#type.is_map())),
            (Cell::Datum(datum, r#type), CellFormat::String) => datum.to_text(r#type),
            (Cell::Datum(datum, _), CellFormat::Bare) => datum.to_bare(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Cell::Empty => Value::Null,
            Cell::Text(text) => Value::from(text.as_str()),
            Cell::Json(json) => json.clone(),
            Cell::Datum(datum, r#type) => datum.to_json(r#type.is_map()),
        }
    }
}

impl Listing {
    /// The text; `first` says that no other table was printed before.
    pub fn print(&self, style: &Style, first: bool) -> String {
        let mut out = String::new();
        if !first && matches!(style.format, Format::Table | Format::List | Format::Csv) {
            out.push('\n');
        }
        let titles = matches!(style.format, Format::Table | Format::List | Format::Csv);
        for line in [&self.timestamp, &self.caption].into_iter().flatten().filter(|_| titles) {
            out.push_str(line);
            out.push('\n');
        }
        match style.format {
            Format::Table => self.print_table(&mut out, style),
            Format::List => self.print_list(&mut out, style),
            Format::Html => self.print_html(&mut out, style),
            Format::Csv => self.print_csv(&mut out, style),
            Format::Json => self.print_json(&mut out, style),
        }
        out
    }

    fn texts(&self, style: &Style) -> Vec<Vec<String>> {
        self.rows.iter().map(|row| row.iter().map(|cell| cell.text(style)).collect()).collect()
    }

    fn print_table(&self, out: &mut String, style: &Style) {
        let rows = self.texts(style);
        let width = |x: usize, heading: &String| {
            let mut widest = rows.iter().filter_map(|row| row.get(x)).map(String::len).max().unwrap_or(0);
            if style.max_column_width > 0 {
                widest = widest.min(style.max_column_width);
            }
            if style.headings { widest.max(heading.len()) } else { widest }
        };
        let widths: Vec<usize> = self.headings.iter().enumerate().map(|(x, h)| width(x, h)).collect();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for (i, (cell, width)) in cells.zip(&widths).enumerate() {
                let cut = cell.get(..*width).unwrap_or(cell);
                text.push_str(if i > 0 { " " } else { "" });
                text.push_str(cut);
                text.extend(std::iter::repeat_n(' ', width.saturating_sub(cut.len())));
            }
            out.push_str(text.trim_end_matches(' '));
            out.push('\n');
        };
        if style.headings {
            line(&mut self.headings.iter().map(String::as_str));
            let rules: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
            line(&mut rules.iter().map(String::as_str));
        }
        for row in &rows {
            line(&mut row.iter().map(String::as_str));
        }
    }

    fn print_list(&self, out: &mut String, style: &Style) {
        for (y, row) in self.texts(style).into_iter().enumerate() {
            if y > 0 {
                out.push('\n');
            }
            for (heading, text) in self.headings.iter().zip(row) {
                if style.headings {
                    out.push_str(&format!("{heading:<20}: "));
                }
                out.push_str(&text);
                out.push('\n');
            }
        }
    }

    fn print_html(&self, out: &mut String, style: &Style) {
        out.push_str("<table border=1>\n");
        if let Some(caption) = &self.caption {
            out.push_str(&format!("    <caption>{}</caption>\n", escape_html(caption)));
        }
        if style.headings {
            out.push_str("  <tr>\n");
            for heading in &self.headings {
                out.push_str(&format!("    <th>{}</th>\n", escape_html(heading)));
            }
            out.push_str("  </tr>\n");
        }
        for row in self.texts(style) {
            out.push_str("  <tr>\n");
            for (heading, text) in self.headings.iter().zip(row) {
                if heading == "_uuid" {
                    let short = text.get(..8).unwrap_or(&text);
                    out.push_str(&format!("    <td><a name=\"{text}\">{short}</a></td>\n"));
                } else {
                    out.push_str(&format!("    <td>{}</td>\n", link_uuids(&escape_html(&text))));
                }
            }
            out.push_str("  </tr>\n");
        }
        out.push_str("</table>\n");
    }

    fn print_csv(&self, out: &mut String, style: &Style) {
        let mut line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|c| escape_csv(c)).collect();
            out.push_str(&cells.join(","));
            out.push('\n');
        };
        if style.headings {
            line(&self.headings);
        }
        for row in self.texts(style) {
            line(&row);
        }
    }

    fn print_json(&self, out: &mut String, style: &Style) {
        let mut object = Map::new();
        if let Some(caption) = &self.caption {
            object.insert("caption".to_owned(), Value::from(caption.as_str()));
        }
        if let Some(time) = &self.timestamp {
            object.insert("time".to_owned(), Value::from(time.as_str()));
        }
        let headings = self.headings.iter().map(|h| Value::from(h.as_str())).collect();
        let data = self.rows.iter().map(|row| row.iter().map(Cell::json).collect::<Value>()).collect();
        object.insert("headings".to_owned(), headings);
        object.insert("data".to_owned(), data);
        // Members come by name, so that what scripts compare is stable.
        out.push_str(&json_text(&object.into(), JsonStyle { sort: true, pretty: style.pretty }));
        out.push('\n');
    }
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// UUIDs become links to the rows they name.
fn link_uuids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match rest.get(..36).filter(|candidate| crate::parse_uuid(candidate).is_some()) {
            Some(uuid) => {
                out.push_str(&format!("<a href=\"#{uuid}\">{}</a>", uuid.get(..8).unwrap_or(uuid)));
                rest = rest.get(36..).unwrap_or("");
            }
            None => {
                out.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or("");
            }
        }
    }
    out
}

fn escape_csv(text: &str) -> String {
    if text.contains(['\n', '"', ',']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
