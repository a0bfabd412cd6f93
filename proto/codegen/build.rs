//! Lists the toolchain file and the patches of the C-core for `src/c_core/files.rs`. In the
//! repository, `ccore.cmake` and `ccore` are links into `scripts`; the published package has copies.

use std::path::Path;
use std::{env, fs, io};

const TOOLCHAIN: &str = "ccore.cmake";
const PATCHES: &str = "ccore";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={TOOLCHAIN}");
    println!("cargo:rerun-if-changed={PATCHES}");

    let mut names = vec![TOOLCHAIN.to_string()];
    for entry in fs::read_dir(PATCHES)? {
        names.push(format!(
            "{PATCHES}/{}",
            entry?.file_name().to_string_lossy()
        ));
    }
    names.sort();
    let source = format!("&[{}]", names.iter().map(listed).collect::<String>());
    let directory = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    fs::write(Path::new(&directory).join("c_core_files.rs"), source)
}

/// A pair of the file's name and its content, in Rust. rustc, not this script, looks where the package
/// is: checkouts may share a target directory.
fn listed(name: &String) -> String {
    format!(
        "({name:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?}))),\n",
        format!("/{name}")
    )
}
