//! Pages for repositories: GitHub's and GitLab's Markdown with tables. What a contract says is text
//! there, never markup.

use super::{Block, Line, Page, Span, way};

pub(super) fn write(page: &Page) -> String {
    let mut text = format!("# {}\n\n", escaped(&page.title));
    if page.path != "index" {
        let home = way(&page.path, "index", "md");
        text.push_str(&format!("{} in [Contracts]({home})\n\n", page.kind));
    }
    for block in &page.blocks {
        match block {
            Block::Heading(title) => text.push_str(&format!("## {}\n\n", escaped(title))),
            Block::Text(line) => text.push_str(&format!("{}\n\n", spans(page, line))),
            Block::Table {
                caption,
                head,
                rows,
            } => {
                text.push_str(&format!("{}:\n\n", escaped(caption)));
                let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
                text.push_str(&row(head.iter().map(|name| escaped(name)).collect()));
                text.push_str(&row(head.iter().map(|_| "---".to_owned()).collect()));
                for cells in rows {
                    text.push_str(&row(cells.iter().map(|cell| spans(page, cell)).collect()));
                }
                text.push('\n');
            }
        }
    }
    text
}

fn spans(page: &Page, line: &Line) -> String {
    let spans = line.iter().map(|span| match span {
        Span::Text(text) => escaped(text),
        Span::Code(text) => code(text),
        Span::Link { to, text } => {
            format!("[{}]({})", escaped(text), way(&page.path, to, "md"))
        }
    });
    spans.collect()
}

/// A code span, as long a fence as it needs; a bar would end a table's cell even there.
fn code(text: &str) -> String {
    let text = one_line(text).replace('|', "\\|");
    if text.is_empty() {
        return String::new();
    }
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    let blank = if text.contains('`') { " " } else { "" };
    format!("{fence}{blank}{text}{blank}{fence}")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars()
        .map(clean)
        .collect::<String>()
        .trim()
        .to_owned()
}
