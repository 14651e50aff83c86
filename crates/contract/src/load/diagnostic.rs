//! What is wrong in a file, where, and what to do: `file:line:column`, the line with a caret under
//! the place, a hint. Texts are for the person who wrote the file.

use std::fmt;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// The files cannot be used as they are.
    Error,
    /// They can, but somebody will regret it.
    Warning,
}

/// One finding in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// How much it weighs.
    pub level: Level,
    /// The lint rule that found it; absent for the loader's own.
    pub rule: Option<&'static str>,
    /// The file, as the loader was given it.
    pub file: String,
    /// From 1; 0 when it is about the file as a whole.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The line it is about.
    pub snippet: Option<Snippet>,
}

/// A line of a file and the part of it that is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Snippet {
    /// The line, cut around the place if it is long.
    pub line: String,
    /// How many characters stand before the place.
    pub before: usize,
    /// How many characters the place has; at least one.
    pub width: usize,
}

/// Longer lines are cut: a minified file must not fill the terminal.
const MAX_LINE_CHARS: usize = 120;
/// How much of a cut line stays before the place.
const CONTEXT_CHARS: usize = 40;

impl Snippet {
    pub(crate) fn new(text: &str, line: u32, column: u32, width: u32) -> Option<Self> {
        let line = text.lines().nth((line as usize).checked_sub(1)?)?;
        let before = (column as usize).saturating_sub(1);
        let chars = line.chars().count();
        let cut = if chars > MAX_LINE_CHARS {
            before.saturating_sub(CONTEXT_CHARS)
        } else {
            0
        };
        let kept: String = line
            .chars()
            .skip(cut)
            .take(MAX_LINE_CHARS)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let room = kept.chars().count().saturating_sub(before - cut).max(1);
        Some(Self {
            line: kept,
            before: before - cut,
            width: (width as usize).clamp(1, room),
        })
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        self.write_as(level, f)
    }
}

impl Diagnostic {
    /// Writes the finding with another word for its weight.
    pub(crate) fn write_as(&self, level: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{level}: {}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(rule) = self.rule {
            write!(f, " [{rule}]")?;
        }
        if let Some(snippet) = &self.snippet {
            let number = self.line.to_string();
            write!(f, "\n{number} | {}", snippet.line.trim_end())?;
            let (margin, before) = (" ".repeat(number.len()), " ".repeat(snippet.before));
            write!(f, "\n{margin} | {before}{}", "^".repeat(snippet.width))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// All findings of one reading, file by file from top to bottom.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub(crate) fn sort(&mut self) {
        self.0
            .sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    }

    /// Visits the findings in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Says whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether one of them forbids the use of the files.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.level == Level::Error)
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
