//! Code that the budgets and the comparison share: child processes and their cost. It must not know
//! any workload.

pub mod cpu;
pub mod machine;
pub mod process;
pub mod usage;
