//! Owns stdout and stderr. Data goes to stdout and nothing else does; progress, logs and failures
//! go to stderr, one after the other, so that a bar and a line of text never mix.
//!
//! What a server or a file says is printed without its control characters: a terminal obeys those.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::cli::failure::{Exit, Failure};

/// How often progress is told where no bar can be drawn.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// The same with more columns.
    Wide,
    /// One JSON document.
    Json,
    /// A JSON document a line.
    Ndjson,
    /// One YAML document.
    Yaml,
    /// Comma-separated values with a header (RFC 4180).
    Csv,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Progress {
    /// A bar on a terminal, else a line every 5 seconds.
    #[default]
    Auto,
    /// A bar.
    Bar,
    /// A line every 5 seconds.
    Plain,
    /// Nothing.
    None,
}

/// When colour is used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A column of a table, read from each item by its JSON Pointer.
pub(crate) struct Column {
    name: &'static str,
    pointer: &'static str,
    wide: bool,
}

/// Makes a column that is always there.
pub(crate) const fn column(name: &'static str, pointer: &'static str) -> Column {
    Column {
        name,
        pointer,
        wide: false,
    }
}

/// Makes a column of the wide table and of CSV.
pub(crate) const fn wide(name: &'static str, pointer: &'static str) -> Column {
    Column {
        name,
        pointer,
        wide: true,
    }
}

/// What a command found out: one JSON value that every format is made of.
pub(crate) struct Answer {
    value: Value,
    /// The member of `value` whose elements are the rows. Without one, `value` itself is the row.
    items: Option<&'static str>,
    columns: &'static [Column],
    /// What people see in place of a table.
    text: Option<String>,
}

impl Answer {
    /// Makes an answer about one thing.
    pub(crate) fn one(value: Value, columns: &'static [Column]) -> Self {
        Self {
            value,
            items: None,
            columns,
            text: None,
        }
    }

    /// Makes an answer that lists the elements of the member `items`.
    pub(crate) fn list(value: Value, items: &'static str, columns: &'static [Column]) -> Self {
        Self {
            items: Some(items),
            ..Self::one(value, columns)
        }
    }

    /// Sets what people see in place of a table.
    pub(crate) fn with_text(mut self, text: String) -> Self {
        self.text = Some(text);
        self
    }

    /// Returns the answer as one JSON document.
    pub(crate) fn json(&self) -> String {
        format!("{:#}", self.value)
    }

    /// Returns what people see.
    pub(crate) fn text(&self) -> String {
        match &self.text {
            Some(text) => printable(text),
            None => self.table(false),
        }
    }

    fn rows(&self) -> &[Value] {
        match self.items {
            Some(name) => self.value[name].as_array().map_or(&[], Vec::as_slice),
            None => std::slice::from_ref(&self.value),
        }
    }

    fn render(&self, format: Format) -> Result<String, serde_saphyr::ser::Error> {
        Ok(match format {
            Format::Table | Format::Wide => match &self.text {
                Some(text) => printable(text),
                None => self.table(format == Format::Wide),
            },
            Format::Json => format!("{:#}", self.value),
            Format::Ndjson => lines(self.rows().iter().map(Value::to_string)),
            Format::Yaml => serde_saphyr::to_string(&self.value)?.trim_end().to_owned(),
            Format::Csv => {
                let header = lines([self.cells_of(|column| column.name.to_owned())]);
                let rows = self
                    .rows()
                    .iter()
                    .map(|row| self.cells_of(|column| raw_cell(row, column)));
                lines(std::iter::once(header).chain(rows))
            }
        })
    }

    fn cells_of(&self, cell: impl Fn(&Column) -> String) -> String {
        let cells: Vec<String> = self.columns.iter().map(|c| csv_cell(&cell(c))).collect();
        cells.join(",")
    }

    /// Prints rows under a header, or one thing as names and values.
    fn table(&self, wide: bool) -> String {
        let columns: Vec<&Column> = self.columns.iter().filter(|c| wide || !c.wide).collect();
        let rows: Vec<Vec<String>> = match self.items {
            Some(_) => {
                let header = columns.iter().map(|c| c.name.to_uppercase()).collect();
                let cells = |row| columns.iter().map(|c| cell(row, c)).collect();
                std::iter::once(header)
                    .chain(self.rows().iter().map(cells))
                    .collect()
            }
            None => columns
                .iter()
                .map(|c| vec![c.name.to_owned(), cell(&self.value, c)])
                .collect(),
        };
        let width = |at: usize| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.len().max(2)).map(width).collect();
        lines(rows.iter().map(|row| {
            let cells = row.iter().zip(&widths);
            let padded: Vec<String> = cells
                .map(|(cell, &width)| format!("{cell:width$}"))
                .collect();
            padded.join("  ").trim_end().to_owned()
        }))
    }
}

fn raw_cell(row: &Value, column: &Column) -> String {
    match row.pointer(column.pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn cell(row: &Value, column: &Column) -> String {
    // A table says how many there are; the other formats say which.
    if let Some(Value::Array(found)) = row.pointer(column.pointer) {
        return found.len().to_string();
    }
    match raw_cell(row, column) {
        text if text.is_empty() => "-".to_owned(),
        text => printable(&text).replace('\n', " "),
    }
}

fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn lines(lines: impl IntoIterator<Item = String>) -> String {
    let lines: Vec<String> = lines.into_iter().collect();
    lines.join("\n")
}

/// Replaces control characters, which a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// The process's output.
pub(crate) struct Ui {
    format: Format,
    progress: Progress,
    bars: MultiProgress,
}

impl Ui {
    /// Takes stdout and stderr over.
    pub(crate) fn new(format: Format, progress: Progress, color: Color) -> Self {
        match color {
            Color::Auto => {}
            Color::Always => ColorChoice::Always.write_global(),
            Color::Never => ColorChoice::Never.write_global(),
        }
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self {
            format,
            progress,
            bars,
        }
    }

    /// Prints an answer on stdout. A reader that has gone away is no failure.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(crate) fn print(&self, answer: &Answer) -> Result<(), Failure> {
        let text = answer.render(self.format).map_err(anyhow::Error::from)?;
        self.line(&text)
    }

    /// Prints a line of text on stdout.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let written = self.bars.suspend(|| {
            let mut out = anstream::stdout().lock();
            writeln!(out, "{text}").and_then(|()| out.flush())
        });
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Failed, format!("stdout: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Says whether people read what is printed.
    pub(crate) fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Prints a line of text for people on stderr, unless a machine reads.
    pub(crate) fn note(&self, text: &str) {
        if matches!(self.format, Format::Table | Format::Wide) {
            self.to_stderr(&printable(text));
        }
    }

    /// Prints why the command failed, on stderr.
    pub(crate) fn failure(&self, failure: &Failure) {
        match self.format {
            Format::Json | Format::Ndjson => self.to_stderr(&failure.to_json().to_string()),
            _ => self.to_stderr(&painted(&printable(&failure.to_text()))),
        }
    }

    fn to_stderr(&self, text: &str) {
        // Where stderr is gone there is nobody to tell.
        self.bars
            .suspend(|| drop(writeln!(anstream::stderr().lock(), "{text}")));
    }

    /// Starts to show progress of something that has `total` steps.
    pub(crate) fn progress(&self, what: &str, total: usize) -> Steps<'_> {
        let on_terminal = io::stderr().is_terminal();
        let bar = match self.progress {
            Progress::Bar => true,
            Progress::Auto => on_terminal,
            Progress::Plain | Progress::None => false,
        };
        let bar = bar.then(|| {
            let template = "  {msg:30} {bar:24} {pos}/{len}  {elapsed}";
            let style = ProgressStyle::with_template(template).expect("a test draws it");
            let bar = ProgressBar::new(total as u64).with_style(style);
            let bar = self.bars.add(bar);
            bar.set_message(what.to_owned());
            bar
        });
        Steps {
            ui: self,
            what: what.to_owned(),
            total,
            bar,
            plain: Mutex::new((0, Instant::now())),
        }
    }

    /// Returns a writer for logs that leaves a bar alone.
    pub(crate) fn log_writer(&self) -> LogWriter {
        LogWriter(self.bars.clone())
    }

    /// Says whether logs may be coloured.
    pub(crate) fn paints_stderr(&self) -> bool {
        AutoStream::choice(&io::stderr()) != ColorChoice::Never
    }
}

/// Progress being shown.
pub(crate) struct Steps<'a> {
    ui: &'a Ui,
    what: String,
    total: usize,
    bar: Option<ProgressBar>,
    /// How many are done, and when that was told last.
    plain: Mutex<(usize, Instant)>,
}

impl Steps<'_> {
    /// One more is done.
    pub(crate) fn advance(&self) {
        self.advance_by(1);
    }

    /// So many more are done.
    pub(crate) fn advance_by(&self, count: usize) {
        if let Some(bar) = &self.bar {
            return bar.inc(count as u64);
        }
        let mut plain = self.plain.lock().expect("nobody panics while counting");
        plain.0 += count;
        let tell = plain.0 == self.total || plain.1.elapsed() >= PLAIN_EVERY;
        if tell && self.ui.progress != Progress::None {
            plain.1 = Instant::now();
            let (what, total) = (&self.what, self.total);
            self.ui.to_stderr(&format!("  {what} {}/{total}", plain.0));
        }
    }
}

impl Drop for Steps<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }
}

/// Writes logs to stderr.
#[derive(Clone)]
pub(crate) struct LogWriter(MultiProgress);

impl io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Paints the words that lines of failures begin with; anstream takes it off where it is not wanted.
fn painted(text: &str) -> String {
    let paint = |line: &str| {
        for (word, style) in [
            ("error:", "\u{1b}[1;31m"),
            ("warning:", "\u{1b}[1;33m"),
            ("hint:", "\u{1b}[1;36m"),
        ] {
            if let Some(rest) = line.strip_prefix(word) {
                return format!("{style}{word}\u{1b}[0m{rest}");
            }
        }
        line.to_owned()
    };
    lines(text.lines().map(paint))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[column("name", "/name"), wide("note", "/more/note")];

    fn check(answer: &Answer, format: Format, expected: &str) {
        assert_eq!(answer.render(format).unwrap(), expected, "{format:?}");
    }

    #[test]
    fn a_list_is_printed_in_every_format() {
        let value = json!({ "things": [
            { "name": "a", "more": { "note": "x, \"y\"" } },
            { "name": "long\u{1b}[2J", "more": {} },
        ] });
        let answer = Answer::list(value, "things", COLUMNS);
        check(&answer, Format::Table, "NAME\na\nlong\u{fffd}[2J");
        check(
            &answer,
            Format::Wide,
            "NAME      NOTE\na         x, \"y\"\nlong\u{fffd}[2J  -",
        );
        check(
            &answer,
            Format::Csv,
            "name,note\na,\"x, \"\"y\"\"\"\nlong\u{1b}[2J,",
        );
        check(
            &answer,
            Format::Ndjson,
            "{\"name\":\"a\",\"more\":{\"note\":\"x, \\\"y\\\"\"}}\n{\"name\":\"long\\u001b[2J\",\"more\":{}}",
        );
    }

    #[test]
    fn one_thing_is_printed_as_names_and_values() {
        let answer = Answer::one(json!({ "name": 7, "more": { "note": null } }), COLUMNS);
        check(&answer, Format::Table, "name  7");
        check(&answer, Format::Wide, "name  7\nnote  -");
        check(&answer, Format::Csv, "name,note\n7,");
        check(&answer, Format::Yaml, "name: 7\nmore:\n  note: null");
    }

    #[test]
    fn a_bar_can_be_drawn() {
        let ui = Ui::new(Format::Table, Progress::Bar, Color::Never);
        ui.progress("sending", 2).advance();
    }
}
