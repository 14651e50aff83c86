//! The lines of a file, a bounded batch at a time.

use std::io::{self, BufRead, Read as _, Seek, SeekFrom};

/// Lines of a batch, and their bytes: well below what a gateway takes at once.
const MAX_LINES: usize = 500;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// A longer line is no event: the log's largest record is 4 MiB.
const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;

/// A line with something in it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    pub(super) text: Text,
}

#[derive(Debug, Eq, PartialEq)]
pub(super) enum Text {
    Json(String),
    /// Why it is not sent at all.
    Unusable(&'static str),
}

/// Lines, and where the file goes on behind them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) lines: Vec<Line>,
    pub(super) end: u64,
    pub(super) end_line: u64,
}

pub(super) struct Lines<R> {
    reader: R,
    at: u64,
    /// Lines before.
    number: u64,
}

impl<R: BufRead + Seek> Lines<R> {
    /// Goes on at a byte, before which there are so many lines.
    pub(super) fn from(mut reader: R, at: u64, number: u64) -> io::Result<Self> {
        reader.seek(SeekFrom::Start(at))?;
        Ok(Self { reader, at, number })
    }

    /// Reads the next batch of at most `at_once` lines; nothing at the end.
    pub(super) fn next(&mut self, at_once: usize) -> io::Result<Option<Batch>> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while lines.len() < at_once.min(MAX_LINES) && bytes < MAX_BYTES {
            let Some(read) = self.line()? else {
                break;
            };
            self.number += 1;
            let text = match read {
                Read::Blank => continue,
                Read::TooLong => Text::Unusable("the line is longer than 16 MiB"),
                Read::Bytes(line) => {
                    bytes += line.len();
                    usable(line)
                }
            };
            let number = self.number;
            lines.push(Line { number, text });
        }
        let batch = Batch {
            end: self.at,
            end_line: self.number,
            lines,
        };
        Ok((!batch.lines.is_empty()).then_some(batch))
    }

    fn line(&mut self) -> io::Result<Option<Read>> {
        let mut line = Vec::new();
        let mut bounded = self.reader.by_ref().take(MAX_LINE_BYTES);
        let mut count = bounded.read_until(b'\n', &mut line)? as u64;
        if count == 0 {
            return Ok(None);
        }
        let too_long = count == MAX_LINE_BYTES && !line.ends_with(b"\n");
        if too_long {
            count += self.reader.skip_until(b'\n')? as u64;
        }
        self.at += count;
        Ok(Some(match too_long {
            true => Read::TooLong,
            false if line.trim_ascii().is_empty() => Read::Blank,
            false => Read::Bytes(line),
        }))
    }
}

enum Read {
    Blank,
    TooLong,
    Bytes(Vec<u8>),
}

fn usable(line: Vec<u8>) -> Text {
    let Ok(text) = String::from_utf8(line) else {
        return Text::Unusable("the line is not UTF-8");
    };
    match serde_json::from_str::<&serde_json::value::RawValue>(text.trim()) {
        Ok(_) => Text::Json(text.trim().to_owned()),
        Err(_) => Text::Unusable("the line is not JSON"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_places() {
        let text = "{\"a\":1}\n\n  {\"a\":2}  \r\nnot json\n{\"a\":3}";
        let mut lines = Lines::from(Cursor::new(text), 0, 0).unwrap();
        let line = |number, text: &str| Line {
            number,
            text: Text::Json(text.to_owned()),
        };
        let batch = lines.next(2).unwrap().unwrap();
        assert_eq!(batch.lines, [line(1, "{\"a\":1}"), line(3, "{\"a\":2}")]);
        assert_eq!((batch.end, batch.end_line), (22, 3));
        let mut again = Lines::from(Cursor::new(text), batch.end, batch.end_line).unwrap();
        for lines in [&mut lines, &mut again] {
            let batch = lines.next(100).unwrap().unwrap();
            let unusable = Line {
                number: 4,
                text: Text::Unusable("the line is not JSON"),
            };
            assert_eq!(batch.lines, [unusable, line(5, "{\"a\":3}")]);
            assert_eq!(batch.end, text.len() as u64);
            assert!(lines.next(100).unwrap().is_none());
        }
    }

    #[test]
    fn a_batch_is_bounded() {
        let text = "{}\n".repeat(MAX_LINES + 1);
        let mut lines = Lines::from(Cursor::new(text), 0, 0).unwrap();
        assert_eq!(
            lines.next(usize::MAX).unwrap().unwrap().lines.len(),
            MAX_LINES
        );
        assert_eq!(lines.next(usize::MAX).unwrap().unwrap().lines.len(), 1);
        let text = format!("\"{}\"\n{{}}\n", "x".repeat(17 * 1024 * 1024));
        let mut lines = Lines::from(Cursor::new(text), 0, 0).unwrap();
        let batch = lines.next(usize::MAX).unwrap().unwrap();
        assert!(matches!(batch.lines[0].text, Text::Unusable(_)));
        assert_eq!(batch.lines[1].number, 2);
    }
}
