//! The output of a build script: files, their content, and errors. `fanstream` itself tests that
//! the code compiles.

mod common;

use std::fs;

use common::{described, directory, protos, read};
use fanstream_build::{Error, Protos};
use tempfile::TempDir;

/// Generates code for `file` in `directory`, to its subdirectory `out`.
fn generate(directory: &TempDir, file: &str) -> Result<(), Error> {
    protos(directory).file(file).generate()
}

fn modules(directory: &TempDir) -> Vec<String> {
    let source = read(directory, "protos.rs");
    let names = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "));
    names
        .map(|name| name.trim_end_matches(" {").into())
        .collect()
}

const HELLO: &str = r#"
package demo;
import "types/name.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/timestamp.proto";
message Hello { types.Name name = 1; google.protobuf.Timestamp at = 2; }
service Greeter {
  rpc Greet (types.Name) returns (stream Hello);
  rpc Reset (google.protobuf.Empty) returns (google.protobuf.Empty);
}
"#;

const NAME: &str = "package types; message Name { string name = 1; }";

#[test]
fn a_file_and_its_imports_become_modules() {
    let directory = directory(&[("hello.proto", HELLO), ("types/name.proto", NAME)]);
    generate(&directory, "hello.proto").unwrap();

    // The code of methods refers to `empty`; the code of fields refers to the protobuf crate.
    assert_eq!(
        modules(&directory),
        ["hello", "hello_grpc", "name", "empty"]
    );
    let files = described(&directory);
    for file in [
        "hello.proto",
        "types/name.proto",
        "google/protobuf/timestamp.proto",
    ] {
        assert!(files.iter().any(|name| name == file), "{file}: {files:?}");
    }
}

#[test]
fn code_can_be_included_and_refers_to_fanstream_only() {
    let directory = directory(&[("hello.proto", HELLO), ("types/name.proto", NAME)]);
    generate(&directory, "hello.proto").unwrap();

    let services = read(&directory, "hello_grpc.rs");
    assert!(services.contains(
        "\npub const METHOD_GREETER_GREET: ::fanstream::grpcio::Method<super::name::Name"
    ));
    for file in ["hello.rs", "hello_grpc.rs", "name.rs"] {
        for line in read(&directory, file).lines() {
            for start in ["#!", "//!", "///"] {
                assert!(!line.starts_with(start), "{file}: {line}");
            }
            for package in ["::grpcio::", "::protobuf::", "::futures::"] {
                let others = line.replace(&format!("::fanstream{package}"), "");
                assert!(!others.contains(package), "{file}: {line}");
            }
        }
    }
}

/// The types of a field; `Kind` and `All` are an enum and a message.
const TYPES: [&str; 17] = [
    "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
    "sfixed64", "float", "double", "bool", "Kind", "string", "bytes", "All",
];

/// Returns a message with single, repeated, map and oneof fields of each type, and their number.
/// `label` comes before single fields.
fn message_with_all_types(label: &str) -> (String, usize) {
    let single = TYPES.map(|name| format!("{label} {name}"));
    let repeated = TYPES.map(|name| format!("repeated {name}"));
    let maps = TYPES.map(|name| format!("map<int32, {name}>"));
    let mut count = 0;
    let mut field = |kind: String| {
        count += 1;
        format!("{kind} f{count} = {count};\n")
    };
    let fields: String = [single, repeated, maps]
        .into_iter()
        .flatten()
        .map(&mut field)
        .collect();
    let members: String = TYPES.map(|name| field(name.into())).concat();
    let message = format!(
        "enum Kind {{ NONE = 0; }}
        message All {{ {fields} oneof one {{ {members} }} }}"
    );
    (message, count)
}

#[test]
fn every_arm_that_reads_a_field_checks_the_wire_type() {
    for (syntax, label) in [("proto2", "optional"), ("proto3", "")] {
        let (message, count) = message_with_all_types(label);
        let directory = directory(&[]);
        let file = directory.path().join("all.proto");
        fs::write(file, format!("syntax = \"{syntax}\";\n{message}")).unwrap();
        generate(&directory, "all.proto").unwrap();

        let code = read(&directory, "all.rs");
        let arms = code.lines().filter(|line| line.ends_with(" => {"));
        let checked = arms.filter(|line| {
            line.contains(" if wire_type == ::fanstream::protobuf::wire_format::WireType")
        });
        assert_eq!(checked.count(), count, "{syntax}: {code}");
    }
}

#[test]
fn without_includes_a_file_is_found_in_its_own_directory() {
    let directory = directory(&[("some/where/plain.proto", "message A {}")]);
    let file = directory.path().join("some/where/plain.proto");
    Protos::new()
        .file(file)
        .out_dir(directory.path().join("out"))
        .generate()
        .unwrap();
    assert_eq!(modules(&directory), ["plain"]);
}

#[test]
fn a_file_is_named_after_the_deepest_include() {
    let user = "import \"common.proto\"; message B { A a = 1; }";
    let directory = directory(&[
        ("user.proto", user),
        ("vendor/common.proto", "message A {}"),
    ]);
    protos(&directory)
        .include(directory.path().join("vendor"))
        .file("user.proto")
        .file(directory.path().join("vendor/common.proto"))
        .generate()
        .unwrap();
    assert_eq!(modules(&directory), ["common", "user"]);
}

#[test]
fn described_files_have_no_code() {
    let v1 = "package a.v1; message A {}";
    let v2 = "package a.v2; message A {}";
    let directory = directory(&[("v1/a.proto", v1), ("v2/a.proto", v2)]);
    protos(&directory)
        .file("v1/a.proto")
        .described("v2/a.proto")
        .generate()
        .unwrap();
    assert_eq!(modules(&directory), ["a"]);
    assert_eq!(described(&directory), ["v1/a.proto", "v2/a.proto"]);
}

#[test]
fn two_files_of_the_same_name_are_refused() {
    let directory = directory(&[("v1/a.proto", "package b;"), ("v2/a.proto", "package c;")]);
    let error = protos(&directory)
        .file("v1/a.proto")
        .file("v2/a.proto")
        .generate()
        .unwrap_err();
    assert!(matches!(error, Error::SameModule { .. }));
    let text = "v1/a.proto and v2/a.proto would both be the module `a`";
    assert!(error.to_string().starts_with(text), "{error}");
}

#[test]
fn a_user_defined_empty_conflicts_with_googles_in_methods() {
    let own = "package own; import \"google/protobuf/empty.proto\"; message Empty {}
        service S { rpc M (Empty) returns (google.protobuf.Empty); }";
    let directory = directory(&[("empty.proto", own)]);
    let error = generate(&directory, "empty.proto").unwrap_err();
    assert!(matches!(error, Error::SameModule { .. }), "{error}");
}

#[test]
fn protoc_errors_name_file_and_line() {
    let directory = directory(&[("bad.proto", "message A {\n  strin name = 1;\n}")]);
    let error = generate(&directory, "bad.proto").unwrap_err().to_string();
    let text = "bad.proto:3:3: \"strin\" is not defined.";
    assert!(
        error.starts_with("protoc: ") && error.ends_with(text),
        "{error}"
    );
}

#[test]
fn a_missing_import_is_named() {
    let directory = directory(&[("a.proto", "import \"missing.proto\";")]);
    let error = generate(&directory, "a.proto").unwrap_err().to_string();
    assert!(error.contains("missing.proto: File not found"), "{error}");
}

#[test]
fn missing_files_are_named() {
    let directory = directory(&[("a.proto", ""), ("in/b.proto", "")]);
    let error = generate(&directory, "c.proto").unwrap_err().to_string();
    let place = directory.path().display();
    assert_eq!(
        error,
        format!("c.proto: no such file, neither here nor in {place}")
    );

    let include = directory.path().join("in");
    let file = directory.path().join("a.proto");
    let error = Protos::new()
        .include(&include)
        .file(&file)
        .out_dir(directory.path().join("out"))
        .generate();
    assert!(matches!(error.unwrap_err(), Error::NotIncluded { .. }));
}

#[test]
fn a_service_without_methods_is_refused() {
    let directory = directory(&[("a.proto", "service Idle {}")]);
    let error = generate(&directory, "a.proto").unwrap_err();
    assert_eq!(error.to_string(), "a.proto: service Idle has no methods");
}

#[test]
fn reserved_names_get_a_suffix() {
    let content = "message A {} service S { rpc M (A) returns (A); }";
    let directory = directory(&[("type.proto", content), ("with-dash.proto", "message B {}")]);
    protos(&directory)
        .file("type.proto")
        .file("with-dash.proto")
        .generate()
        .unwrap();
    assert_eq!(
        modules(&directory),
        ["type_pb", "type_pb_grpc", "with_dash"]
    );
}
