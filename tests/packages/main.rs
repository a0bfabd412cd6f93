//! Packages that use the library: the examples, and a package outside the workspace.

#[path = "../common"]
mod common {
    pub mod certificates;
    pub mod http;
    pub mod process;
}

mod examples;
mod outside;
