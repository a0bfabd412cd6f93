//! What the figures and the comparison share: the processes that they start, and what these cost.
//! No workload and no arithmetic here.

pub mod cpu;
pub mod machine;
pub mod process;
pub mod usage;
