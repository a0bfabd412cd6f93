//! The program `fanstream-build`: what it does to a package, and what the package's author sees
//! before and after. No C-core is compiled here.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// A package whose build script generates code.
struct Package {
    directory: TempDir,
}

impl Package {
    fn new() -> Package {
        let directory = tempfile::tempdir().unwrap();
        let package = Package { directory };
        let manifest = format!(
            "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
             [build-dependencies]\nfanstream-build = {{ path = {HERE:?} }}\n[workspace]\n"
        );
        let script = "fn main() -> Result<(), fanstream_build::Error> {
            fanstream_build::Protos::new().file(\"hello.proto\").generate()
        }";
        package.write("Cargo.toml", &manifest);
        package.write("build.rs", script);
        package.write("src/lib.rs", "");
        let proto = "syntax = \"proto3\"; message Hello {}";
        package.write("hello.proto", proto);
        package
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// What cargo has compiled of the C-core: its directory, and cargo's record.
    fn compile_c_core(&self) -> [PathBuf; 2] {
        self.write(
            "target/release/build/grpcio-sys-0123/out/build/libgrpc.a",
            "",
        );
        let record = "target/release/.fingerprint/grpcio-sys-0123";
        self.write(&format!("{record}/run-build-script-build-script-build"), "");
        [
            self.path("target/release/build/grpcio-sys-0123"),
            self.path(record),
        ]
    }

    /// A command in the package, with none of this build's settings.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path());
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if ["CARGO_", "CMAKE_"]
                .iter()
                .any(|start| text.starts_with(start))
                && text != "CARGO_HOME"
            {
                command.env_remove(&name);
            }
        }
        command
    }

    fn patch(&self) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_fanstream-build"));
        command.arg("patch").output().unwrap()
    }

    /// Patches it, and returns what the program prints.
    #[track_caller]
    fn patched(&self) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.patch();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// Builds it into the target directory of this test, which has the dependencies already, and
    /// returns what cargo prints.
    fn build(&self) -> String {
        let own = env::current_exe().unwrap();
        let profile = own.ancestors().nth(2).unwrap();
        let mut build = self.command(env!("CARGO"));
        build.args(["build", "--offline"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        build.env("CARGO_TARGET_DIR", profile.parent().unwrap());
        let Output { status, stderr, .. } = build.output().unwrap();
        let printed = String::from_utf8(stderr).unwrap();
        assert!(status.success(), "{printed}");
        printed
    }
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_package_gets_the_patches_once() {
    let package = Package::new();
    let compiled = package.compile_c_core();
    let printed = package.patched();
    for part in [
        ".cargo/fanstream: changed files: ",
        ".cargo/config.toml: set CMAKE_TOOLCHAIN_FILE",
        "target/release/build/grpcio-sys-0123: removed",
    ] {
        assert!(printed.contains(part), "no {part:?} in {printed}");
    }
    assert!(compiled.iter().all(|path| !path.exists()));
    let ours = Path::new(HERE).join("ccore.cmake");
    let ours = fs::read_to_string(ours).unwrap();
    assert_eq!(package.read(".cargo/fanstream/ccore.cmake"), ours);
    let patch = package.path(".cargo/fanstream/ccore/0001-hpack-field-errors.patch");
    assert!(patch.is_file());
    let config = package.read(".cargo/config.toml");
    assert!(
        config.starts_with("[env]\nCMAKE_TOOLCHAIN_FILE = { value = \".cargo/"),
        "{config}"
    );

    // As the toolchain file does when the C-core is compiled.
    let compiled = package.compile_c_core();
    package.write(
        "target/release/build/grpcio-sys-0123/out/build/fanstream/fresh/src",
        "",
    );
    let printed = package.patched();
    assert!(printed.starts_with("nothing to do: "), "{printed}");
    assert_eq!(package.read(".cargo/config.toml"), config);
    assert!(compiled.iter().all(|path| path.exists()));
}

#[test]
fn an_update_compiles_the_c_core_again() {
    let package = Package::new();
    package.patched();
    let compiled = package.compile_c_core();
    package.write(
        "target/release/build/grpcio-sys-0123/out/build/fanstream/fresh/src",
        "",
    );
    package.write(
        ".cargo/fanstream/ccore/0001-hpack-field-errors.patch",
        "older",
    );
    let printed = package.patched();
    assert!(
        printed.contains(".cargo/fanstream: changed files: 1\n"),
        "{printed}"
    );
    assert!(!printed.contains("config.toml"), "{printed}");
    assert!(compiled.iter().all(|path| !path.exists()), "{printed}");
}

#[test]
fn an_existing_configuration_is_kept() {
    let package = Package::new();
    let own = "[alias] # short\nt = \"test\"\n\n[env]\nA = \"1\"\n";
    package.write(".cargo/config.toml", own);
    package.patched();
    let config = package.read(".cargo/config.toml");
    assert!(
        config.starts_with("[alias] # short\nt = \"test\"\n\n[env]\nCMAKE_"),
        "{config}"
    );
    assert!(config.ends_with("\nA = \"1\"\n"), "{config}");
}

#[test]
fn errors_name_the_file_and_nothing_changes() {
    let package = Package::new();
    let config = "[env]\nCMAKE_TOOLCHAIN_FILE = { value = \"arm.cmake\", relative = true }\n";
    package.write(".cargo/config.toml", config);
    package.write("arm.cmake", "set(CMAKE_SYSTEM_PROCESSOR arm)\n");
    let refused = error(&package.patch());
    let place = format!(
        "error: {}, line 2: ",
        package.path(".cargo/config.toml").display()
    );
    assert!(refused.starts_with(&place), "{refused}");
    assert_eq!(package.read(".cargo/config.toml"), config);
    assert!(!package.path(".cargo/fanstream").exists());

    package.write("arm.cmake", "include(\".cargo/fanstream/ccore.cmake\")\n");
    assert!(package
        .patched()
        .contains(".cargo/fanstream: changed files: "));

    fs::remove_file(package.path("Cargo.toml")).unwrap();
    let refused = error(&package.patch());
    assert!(refused.contains("cargo metadata"), "{refused}");
}

#[test]
fn wrong_usage_prints_the_help() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanstream-build"));
        command.args(arguments).output().unwrap()
    };
    for wrong in [
        &[][..],
        &["patches"],
        &["patch", "--here"],
        &["patch", ".", "."],
    ] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("Usage: "),
            "{wrong:?}"
        );
    }
    let help = run(&["--help"]);
    assert!(help.status.success() && help.stdout.starts_with(b"Has a package"));
    assert!(run(&["--version"])
        .stdout
        .starts_with(b"fanstream-build 0."));
}

#[test]
fn cargo_warns_until_the_package_has_the_patches() {
    let package = Package::new();
    // The versions that this test's own build has fetched.
    let lock = Path::new(HERE).join("../../Cargo.lock");
    fs::copy(lock, package.path("Cargo.lock")).unwrap();
    let printed = package.build();
    let warning = "warning: user@0.0.0: the gRPC C-core is compiled without fanstream's patches";
    assert!(printed.contains(warning), "{printed}");
    let mend = format!("cargo run --manifest-path \"{HERE}/Cargo.toml\" -- patch");
    assert!(printed.contains(&mend), "{printed}");

    package.patched();
    let printed = package.build();
    assert!(!printed.contains("C-core"), "{printed}");

    package.write(
        ".cargo/fanstream/ccore/0001-hpack-field-errors.patch",
        "older",
    );
    let printed = package.build();
    assert!(
        printed.contains("does not have the patches of fanstream"),
        "{printed}"
    );
}
