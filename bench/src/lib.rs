//! What the programs of the bench share: the events, how time and processor use are taken, and how
//! a log is asked what it holds. Measures; never decides whether a figure is good.

pub mod answer;
pub mod avro;
pub mod call;
pub mod follow;
pub mod kafka;
pub mod load;
pub mod orders;
pub mod outcome;
pub mod usage;
