//! Choices from bytes: what is generated shrinks with them, and their end chooses the first of all.

pub(super) struct Choices {
    bytes: Vec<u8>,
    at: usize,
}

impl Choices {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    /// Chooses one of `count`, the first when there are no more bytes.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let byte = self.bytes.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        usize::from(byte) % count.max(1)
    }

    /// Chooses yes once in `count`; no when there are no more bytes.
    pub(super) fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(super) fn of<'o, T: ?Sized>(&mut self, of: &[&'o T]) -> &'o T {
        of[self.below(of.len())]
    }

    /// Chooses some of these, in their order.
    pub(super) fn some<'o>(&mut self, of: &[&'o str]) -> Vec<&'o str> {
        of.iter().copied().filter(|_| self.once_in(2)).collect()
    }
}
