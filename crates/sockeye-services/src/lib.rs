//! Services that are handlers on the public API of `sockeye`, and the load that measures them.

pub mod load;
