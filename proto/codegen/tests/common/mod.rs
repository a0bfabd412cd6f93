//! Directories with protos, and the output of a build script.

use std::fs;

use fanstream_build::Protos;
use protobuf::descriptor::FileDescriptorSet;
use protobuf::Message;
use tempfile::TempDir;

/// Makes a directory with these files.
pub fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("syntax = \"proto3\";\n{content}")).unwrap();
    }
    directory
}

pub fn protos(directory: &TempDir) -> Protos {
    Protos::new()
        .include(directory.path())
        .out_dir(directory.path().join("out"))
}

pub fn read(directory: &TempDir, file: &str) -> String {
    fs::read_to_string(directory.path().join("out").join(file)).unwrap()
}

pub fn described(directory: &TempDir) -> Vec<String> {
    let bytes = fs::read(directory.path().join("out/descriptors.bin")).unwrap();
    let set = FileDescriptorSet::parse_from_bytes(&bytes).unwrap();
    set.get_file()
        .iter()
        .map(|file| file.get_name().into())
        .collect()
}
