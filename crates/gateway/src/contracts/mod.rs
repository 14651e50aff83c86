//! Contracts in force: what others would mean to those who live with them.
//!
//! It decides nothing about contracts itself: what a change means is `tidegate_contract::diff`'s.

pub(crate) mod check;
