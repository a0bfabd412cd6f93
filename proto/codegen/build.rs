//! Lists the toolchain file and the patches of the C-core for `src/c_core/files.rs`. In the
//! repository, `ccore.cmake` and `ccore` are links into `scripts`; the published package has copies.

use std::path::{Path, PathBuf};
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
    let package = variable("CARGO_MANIFEST_DIR")?;
    let files = names.iter().map(|name| listed(&package, name));
    let source = format!("&[{}]", files.collect::<String>());
    fs::write(variable("OUT_DIR")?.join("c_core_files.rs"), source)
}

/// A pair of the file's name and its content, in Rust.
fn listed(package: &Path, name: &str) -> String {
    format!("({name:?}, include_bytes!({:?})),\n", package.join(name))
}

fn variable(name: &str) -> io::Result<PathBuf> {
    let value = env::var_os(name).ok_or_else(|| io::Error::other(format!("{name} is not set")))?;
    Ok(value.into())
}
