//! Where a reader of a topic stands: the offset to read next in each partition, in their order. As text
//! it is the `id` of a server-sent event, offsets joined by dots: `17.4.0`. A stable format, kept by
//! readers.

use std::fmt;

use tidegate_event_log::Offset;

/// With more partitions the id would outgrow its event; one partition can still be read by itself.
pub(super) const MAX_PARTITIONS: usize = 256;

/// The offset to read next in each partition that is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Positions(Vec<Offset>);

impl Positions {
    pub(super) fn new(next: Vec<Offset>) -> Self {
        Self(next)
    }

    /// Reads what was written. Partitions that came later are not in it: they are read from their start.
    pub(super) fn parse(text: &str, partitions: usize) -> Option<Self> {
        let mut next = Vec::with_capacity(partitions);
        for part in text.split('.') {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if !digits || next.len() == partitions {
                return None;
            }
            next.push(part.parse().ok()?);
        }
        next.resize(partitions, 0);
        Some(Self(next))
    }

    pub(super) fn get(&self, index: usize) -> Offset {
        self.0[index]
    }

    pub(super) fn set(&mut self, index: usize, next: Offset) {
        self.0[index] = next;
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds partitions that came since, from their start.
    pub(super) fn grow(&mut self, partitions: usize) {
        self.0.resize(partitions.max(self.0.len()), 0);
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, next) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            write!(f, "{dot}{next}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_else_is() {
        for (text, partitions, expected) in [
            ("17.4.0", 3, Some(vec![17, 4, 0])),
            ("9223372036854775807", 1, Some(vec![i64::MAX])),
            ("3", 3, Some(vec![3, 0, 0])),
            ("3.4", 1, None),
            ("", 1, None),
            ("3.", 2, None),
            ("+3", 1, None),
            ("-3", 1, None),
            ("9223372036854775808", 1, None),
            ("3 4", 2, None),
        ] {
            let found = Positions::parse(text, partitions);
            assert_eq!(found, expected.map(Positions), "{text}");
            if let Some(found) = found.filter(|found| text.split('.').count() == found.len()) {
                assert_eq!(found.to_string(), text);
            }
        }
    }
}
