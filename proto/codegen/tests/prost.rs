//! The output for the package `prost`: modules and methods. The tests of `fanstream` compile it:
//! tests/packages/outside_package.

mod common;

use common::{described, directory, protos, read};
use fanstream_build::Error;
use tempfile::TempDir;

/// Generates code for `file` in `directory`, and returns it on one line.
fn generate(directory: &TempDir, file: &str) -> Result<String, Error> {
    protos(directory).file(file).prost().generate()?;
    Ok(one_line(directory))
}

fn one_line(directory: &TempDir) -> String {
    let code = read(directory, "protos.rs");
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The constants of methods, each up to its name on the wire.
fn methods(code: &str) -> Vec<&str> {
    let constants = code.split("pub const METHOD_").skip(1);
    constants
        .map(|constant| constant.split(';').next().unwrap())
        .collect()
}

const HELLO: &str = r#"
package demo.v1;
import "types/name.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/timestamp.proto";
message Hello {
  message Part { string text = 1; }
  types.Name name = 1;
  google.protobuf.Timestamp at = 2;
}
service Greeter {
  rpc Greet (types.Name) returns (stream Hello);
  rpc Parts (stream Hello) returns (stream Hello.Part);
  rpc Sum (stream Hello) returns (types.Name);
  rpc Reset (google.protobuf.Empty) returns (google.protobuf.Empty);
}
"#;

const NAME: &str =
    "package types; message Name { string name = 1; } service Names { rpc Get (Name) returns (Name); }";

#[test]
fn packages_become_modules_with_a_constant_for_each_method() {
    let directory = directory(&[("hello.proto", HELLO), ("types/name.proto", NAME)]);
    let code = generate(&directory, "hello.proto").unwrap();

    let method = "::fanstream::grpcio::Method";
    let make = "::fanstream::engine::codec::method(::fanstream::grpcio::MethodType";
    let nothing = "::fanstream::engine::codec::Prost<()>";
    let name = "super::super::types::Name";
    assert_eq!(
        methods(&code),
        [
            format!("GREETER_GREET: {method}<{name}, Hello> = {make}::ServerStreaming, \"/demo.v1.Greeter/Greet\")"),
            format!("GREETER_PARTS: {method}<Hello, hello::Part> = {make}::Duplex, \"/demo.v1.Greeter/Parts\")"),
            format!("GREETER_SUM: {method}<Hello, {name}> = {make}::ClientStreaming, \"/demo.v1.Greeter/Sum\")"),
            format!("GREETER_RESET: {method}<{nothing}, {nothing}> = {make}::Unary, \"/demo.v1.Greeter/Reset\")"),
            format!("NAMES_GET: {method}<Name, Name> = {make}::Unary, \"/types.Names/Get\")"),
        ]
    );
    for module in [
        "pub mod demo {",
        "pub mod v1 {",
        "pub mod hello {",
        "pub mod types {",
    ] {
        assert!(code.contains(module), "{module}: {code}");
    }
    assert!(code.contains("pub struct Hello {") && code.contains("pub struct Name {"));
    assert!(
        code.contains("Option<::fanstream::prost_types::Timestamp>"),
        "{code}"
    );
    // As the other code, it refers to fanstream only.
    for package in [
        " ::prost::",
        "<::prost::",
        " ::prost_types::",
        "<::prost_types::",
    ] {
        assert!(!code.contains(package), "{package}: {code}");
    }
    let files = described(&directory);
    assert!(files
        .iter()
        .any(|name| name == "google/protobuf/timestamp.proto"));
}

/// Rust refuses a second implementation.
#[test]
fn each_request_and_response_is_implemented_once() {
    let directory = directory(&[("hello.proto", HELLO), ("types/name.proto", NAME)]);
    let code = generate(&directory, "hello.proto").unwrap();
    for message in [
        "Name = \"types.Name\"",
        "Hello = \"demo.v1.Hello\"",
        "hello::Part = \"demo.v1.Hello.Part\"",
    ] {
        let implementation = format!("::fanstream::prost_messages!({message});");
        assert!(code.contains(&implementation), "{implementation}: {code}");
    }
    assert_eq!(code.matches("prost_messages!").count(), 3, "{code}");
}

#[test]
fn constants_have_the_names_of_the_other_generator() {
    let names = [
        "Get",
        "getAll",
        "GetHTTPUrl",
        "get_one",
        "Get2Fast",
        "V1",
        "Type",
    ];
    let rpcs: String = names
        .iter()
        .map(|name| format!("rpc {name} (A) returns (A);"))
        .collect();
    let proto = format!("package p; message A {{}} service HTTPGate {{ {rpcs} }}");
    let directory = directory(&[("a.proto", &proto)]);
    let constants = |code: &str| -> Vec<String> {
        let names = methods(code).into_iter();
        names
            .map(|constant| constant.split(':').next().unwrap().into())
            .collect()
    };
    let ours = constants(&generate(&directory, "a.proto").unwrap());
    protos(&directory).file("a.proto").generate().unwrap();
    assert_eq!(ours, constants(&read(&directory, "a_grpc.rs")));
    assert_eq!(ours.len(), names.len());
}

#[test]
fn without_a_package_there_is_no_module() {
    let content = "message A {} service S { rpc M (A) returns (A); }";
    let directory = directory(&[("a.proto", content)]);
    let code = generate(&directory, "a.proto").unwrap();
    assert!(!code.contains("pub mod"), "{code}");
    assert!(methods(&code)[0].ends_with("\"/S/M\")"), "{code}");
}

#[test]
fn files_of_one_name_and_services_without_methods_are_allowed() {
    let directory = directory(&[
        ("v1/a.proto", "package p.v1; message A {} service Idle {}"),
        ("v2/a.proto", "package p.v2; message A {}"),
    ]);
    protos(&directory)
        .file("v1/a.proto")
        .file("v2/a.proto")
        .prost()
        .generate()
        .unwrap();
    assert_eq!(one_line(&directory).matches("pub struct A {").count(), 2);
}

#[test]
fn described_files_have_no_code() {
    let directory = directory(&[
        ("a.proto", "package a; message A {}"),
        ("b.proto", "package b; message B {}"),
    ]);
    let protos = protos(&directory).file("a.proto").described("b.proto");
    protos.prost().generate().unwrap();
    assert!(!one_line(&directory).contains("struct B"));
    assert_eq!(described(&directory), ["a.proto", "b.proto"]);
}

/// rustdoc would compile such an example as Rust.
#[test]
fn comments_stay_in_the_descriptors() {
    let directory = directory(&[("a.proto", "package a;\n//     example\nmessage A {}")]);
    let code = generate(&directory, "a.proto").unwrap();
    assert!(!code.contains("example"), "{code}");
    let descriptors = std::fs::read(directory.path().join("out/descriptors.bin")).unwrap();
    assert!(String::from_utf8_lossy(&descriptors).contains("    example"));
}

#[test]
fn settings_of_prost_build_apply() {
    let content = "package a; message A { map<string, string> b = 1; }";
    let directory = directory(&[("a.proto", content)]);
    let protos = protos(&directory).file("a.proto");
    protos
        .prost_with(|config| {
            config.btree_map(["."]);
        })
        .generate()
        .unwrap();
    assert!(one_line(&directory).contains("BTreeMap<"));
}

#[test]
fn protoc_errors_name_file_and_line() {
    let directory = directory(&[("bad.proto", "message A {\n  strin name = 1;\n}")]);
    let error = generate(&directory, "bad.proto").unwrap_err().to_string();
    assert!(
        error.starts_with("protoc: ") && error.contains("bad.proto:3:3"),
        "{error}"
    );
}
