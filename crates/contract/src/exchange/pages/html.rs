//! Pages for browsers: one file each, its style inside, nothing from elsewhere. Colours keep a contrast
//! of 4.5 to 1 at least in light and dark (WCAG 2.2, 1.4.3); tables have captions and scopes, and
//! scroll by keyboard where they are wider than the window.

use super::{Block, Line, Page, Span, way};

const STYLE: &str = "
:root { color-scheme: light dark; --back: #ffffff; --text: #1c2430; --quiet: #4d5866; --line: #d5dae1; --head: #f3f5f8; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --back: #12161c; --text: #e6e9ee; --quiet: #aab3bf; --line: #38414d; --head: #1c222b; --link: #8ec1ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 72rem; margin: 0 auto; padding: 1rem 1.5rem; }
header { border-bottom: 1px solid var(--line); }
a { color: var(--link); }
a:focus-visible, .wide:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1.5rem; top: .5rem; background: var(--back); padding: .25rem .5rem; }
.kind { color: var(--quiet); margin: 0; text-transform: uppercase; letter-spacing: .05em; font-size: .8rem; }
h1 { margin: 0 0 1rem; font-size: 1.9rem; overflow-wrap: anywhere; }
h2 { margin: 2.25rem 0 .5rem; font-size: 1.25rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
caption { text-align: left; color: var(--quiet); padding: 0 0 .4rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem; border-bottom: 1px solid var(--line); }
thead th { background: var(--head); border-top: 1px solid var(--line); }
tbody th { font-weight: 600; }
code { font: .9em ui-monospace, monospace; overflow-wrap: break-word; }
td { max-width: 28rem; }
tbody th, tbody th code { overflow-wrap: normal; white-space: nowrap; }
thead th:first-child { min-width: 12rem; }
@media print { .skip { display: none; } .wide { overflow: visible; } }
";

pub(super) fn write(page: &Page) -> String {
    let mut html =
        String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    // Nothing is loaded, whatever a contract's text may hold.
    html.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.push_str(&format!(
        "<title>{} · {}</title>\n",
        escaped(&page.title),
        page.kind
    ));
    html.push_str(&format!("<style>{STYLE}</style>\n</head>\n<body>\n"));
    html.push_str("<a class=\"skip\" href=\"#content\">To the content</a>\n");
    if page.path != "index" {
        let home = way(&page.path, "index", "html");
        html.push_str(&format!(
            "<header>\n<nav aria-label=\"Where you are\"><a href=\"{home}\">Contracts</a> / "
        ));
        html.push_str(&format!(
            "<span aria-current=\"page\">{}</span></nav>\n</header>\n",
            escaped(&page.title)
        ));
    }
    html.push_str("<main id=\"content\">\n");
    html.push_str(&format!(
        "<p class=\"kind\">{}</p>\n<h1>{}</h1>\n",
        page.kind,
        escaped(&page.title)
    ));
    for block in &page.blocks {
        match block {
            Block::Heading(title) => html.push_str(&format!("<h2>{}</h2>\n", escaped(title))),
            Block::Text(line) => html.push_str(&format!("<p>{}</p>\n", spans(page, line))),
            Block::Table {
                caption,
                head,
                rows,
            } => table(page, caption, head, rows, &mut html),
        }
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn table(page: &Page, caption: &str, head: &[&str], rows: &[Vec<Line>], html: &mut String) {
    let caption = escaped(caption);
    html.push_str(&format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\">\n<table>\n<caption>{caption}</caption>\n<thead><tr>"
    ));
    for name in head {
        html.push_str(&format!("<th scope=\"col\">{}</th>", escaped(name)));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (number, cell) in row.iter().enumerate() {
            let cell = spans(page, cell);
            html.push_str(&match number {
                0 => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td>{cell}</td>"),
            });
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
}

fn spans(page: &Page, line: &Line) -> String {
    let spans = line.iter().map(|span| match span {
        Span::Text(text) => escaped(text),
        Span::Code(text) => format!("<code>{}</code>", escaped(text)),
        Span::Link { to, text } => {
            let way = escaped(&way(&page.path, to, "html"));
            format!("<a href=\"{way}\">{}</a>", escaped(text))
        }
    });
    spans.collect()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
