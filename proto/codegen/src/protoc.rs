//! Runs protoc twice: for the descriptors and error messages, then through `protoc-grpcio` for the
//! code. It must not know the content of the generated code.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::{env, fs};

use protobuf::descriptor::FileDescriptorSet;
use protobuf::Message;

use crate::modules::Module;
use crate::sources::Sources;
use crate::Error;

/// Writes the descriptors of the files `names` and their imports to `descriptors.bin`, and returns
/// them.
pub(crate) fn describe<'a>(
    sources: &Sources,
    names: impl Iterator<Item = &'a String>,
    out: &Path,
) -> Result<FileDescriptorSet, Error> {
    let protoc = protoc_bin_vendored::protoc_bin_path().map_err(platform)?;
    let descriptors = out.join("descriptors.bin");
    let mut command = Command::new(&protoc);
    command
        .args(["--include_imports", "--include_source_info"])
        .arg("--descriptor_set_out")
        .arg(&descriptors);
    for include in sources.includes() {
        command.arg("-I").arg(include);
    }
    let run = command
        .arg("-I")
        .arg(protoc_bin_vendored::include_path().map_err(platform)?)
        .args(names)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::io(&protoc, source))?;
    if !run.status.success() {
        return Err(Error::Protoc {
            message: String::from_utf8_lossy(&run.stderr).trim_end().into(),
        });
    }
    let bytes = fs::read(&descriptors).map_err(|source| Error::io(&descriptors, source))?;
    FileDescriptorSet::parse_from_bytes(&bytes).map_err(|error| Error::Protoc {
        message: format!("{}: {error}", descriptors.display()),
    })
}

/// Generates the code of `modules`.
pub(crate) fn generate(sources: &Sources, modules: &[Module], out: &Path) -> Result<(), Error> {
    if modules.is_empty() {
        return Ok(());
    }
    put_protoc_on_path()?;
    let shipped = protoc_bin_vendored::include_path().map_err(platform)?;
    let includes = sources.includes().iter().chain([&shipped]);
    let paths = modules
        .iter()
        .filter_map(|module| sources.path(&module.proto));
    protoc_grpcio::compile_grpc_protos(paths, includes, out, None).map_err(|error| {
        let names = modules.iter().map(|module| module.proto.as_str());
        let reasons = error.iter_chain().map(|reason| reason.to_string());
        Error::Generator {
            files: names.collect::<Vec<_>>().join(", "),
            message: reasons.collect::<Vec<_>>().join(": "),
        }
    })
}

/// `protoc-grpcio` finds protoc on `PATH` only.
fn put_protoc_on_path() -> Result<(), Error> {
    static ONCE: Once = Once::new();
    let protoc = protoc_bin_vendored::protoc_bin_path().map_err(platform)?;
    ONCE.call_once(|| {
        let path = env::var_os("PATH").unwrap_or_default();
        let directory = protoc.parent().map(Path::to_path_buf);
        let directories = directory.into_iter().chain(env::split_paths(&path));
        // It fails if a directory has a separator in its name, which PATH cannot contain.
        if let Ok(path) = env::join_paths(directories) {
            env::set_var("PATH", path);
        }
    });
    Ok(())
}

fn platform(error: protoc_bin_vendored::Error) -> Error {
    Error::Platform(error.to_string())
}
