//! Pages about a set of contracts: an index, and a page for each contract, reader and team. What a page
//! says is built once as data; `html` and `markdown` only write it down. Pages need no script, no
//! network and no other file, and everything that a contract says is escaped.

mod build;
mod html;
mod markdown;

use super::Exported;
use crate::load::Piece;
use crate::model::Contracts;

/// How pages are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Markup {
    Html,
    Markdown,
}

/// One page.
struct Page {
    /// Its file without the ending, `contracts/order-placed`.
    path: String,
    title: String,
    /// The kind of thing it is about, above the title.
    kind: &'static str,
    blocks: Vec<Block>,
}

enum Block {
    /// A heading of a part.
    Heading(String),
    Text(Line),
    Table {
        /// Read to those who do not see it, shown above it.
        caption: String,
        head: Vec<&'static str>,
        rows: Vec<Vec<Line>>,
    },
}

/// Pieces of text on one line.
type Line = Vec<Span>;

enum Span {
    Text(String),
    Code(String),
    Link {
        /// The path of another page.
        to: String,
        text: String,
    },
}

pub(super) fn export(
    contracts: &Contracts,
    pieces: &[Piece],
    wanted: &dyn Fn(&str) -> bool,
    markup: Markup,
    into: &mut Exported,
) {
    for page in build::pages(contracts, pieces, wanted) {
        let (ending, text) = match markup {
            Markup::Html => ("html", html::write(&page)),
            Markup::Markdown => ("md", markdown::write(&page)),
        };
        into.files.insert(format!("{}.{ending}", page.path), text);
    }
}

/// The way from one page to another.
fn way(from: &str, to: &str, ending: &str) -> String {
    let up = "../".repeat(from.matches('/').count());
    format!("{up}{to}.{ending}")
}
