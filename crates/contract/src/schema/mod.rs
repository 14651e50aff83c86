//! Schemas of event data, a file a language. Compiled on first use, kept for good.

mod data;
pub mod json;
mod reasons;

#[cfg(test)]
mod tests;
