//! The machine itself: the only file of the broker that touches clock, randomness and disk.
