//! The tests every Log passes.
