//! Generates code for the package `prost`: messages by `prost-build`, and a constant for each method. It
//! must not know protoc.
//!
//! prost's modules are named after the packages, not after the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use heck::ToShoutySnakeCase;
use prost::Message;
use prost_build::{Config, Method, Module, Service, ServiceGenerator};
use prost_types::FileDescriptorSet;

use crate::modules::GOOGLE;
use crate::Error;

/// Changes the settings of `prost-build`.
pub(crate) type Configure = fn(&mut Config);

/// Returns the source of `protos.rs` for `files`, with everything in it. `descriptors` describes these
/// files and others.
pub(crate) fn source(
    descriptors: &[u8],
    files: &BTreeSet<&str>,
    configure: Configure,
) -> Result<String, Error> {
    let failed = |error: &dyn std::error::Error| Error::Generator {
        files: files.iter().copied().collect::<Vec<_>>().join(", "),
        message: error.to_string(),
    };
    let set = FileDescriptorSet::decode(descriptors).map_err(|error| failed(&error))?;
    // prost-build must know Google's types, but generates none of them.
    let wanted = set
        .file
        .into_iter()
        .filter(|file| files.contains(file.name()) || file.package() == GOOGLE);
    let requests = wanted
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();

    let mut config = Config::new();
    config
        .prost_path("::fanstream::prost")
        .prost_types_path("::fanstream::prost_types")
        .enable_type_names()
        // Examples in comments would become documentation tests of the package.
        .disable_comments(["."]);
    configure(&mut config);
    config.service_generator(Box::new(Methods::default()));
    let modules = config.generate(requests).map_err(|error| failed(&error))?;
    let modules = modules
        .into_iter()
        .map(|(module, code)| (module.parts().map(String::from).collect(), code))
        .collect();
    Ok(nested(&modules))
}

/// Returns the source of modules within each other, by their paths. The order of the map has each
/// module directly before those within it.
fn nested(modules: &BTreeMap<Vec<String>, String>) -> String {
    let mut source = String::new();
    let mut open: Vec<&str> = Vec::new();
    for (path, code) in modules {
        while !open.iter().eq(path.iter().take(open.len())) {
            open.pop();
            source += "}\n";
        }
        for part in &path[open.len()..] {
            open.push(part);
            let package = open.join(".").replace("r#", "");
            let _ = write!(
                source,
                "\n/// Package `{package}`.\n#[allow(missing_docs, warnings, clippy::all)]\npub mod {part} {{\n"
            );
        }
        source += code;
    }
    source + &"}\n".repeat(open.len())
}

/// Generates the methods, and has the library know the messages that they use.
#[derive(Default)]
struct Methods {
    /// Messages that have an implementation.
    known: BTreeSet<String>,
}

impl Methods {
    /// Returns the Rust type of a request or response. `rust` is its path from this module, `proto` its
    /// name with a dot first.
    fn message(&mut self, proto: &str, rust: &str, code: &mut String) -> String {
        // The types of other crates, also those that prost has for Google's.
        if rust.starts_with("::") || proto.starts_with(".google.protobuf.") {
            return format!("::fanstream::engine::codec::Prost<{rust}>");
        }
        if self.known.insert(proto.into()) {
            let name = proto.trim_start_matches('.');
            let _ = writeln!(code, "::fanstream::prost_messages!({rust} = {name:?});");
        }
        rust.into()
    }

    fn method(&mut self, service: &str, full_service: &str, method: &Method, code: &mut String) {
        let request = self.message(&method.input_proto_type, &method.input_type, code);
        let response = self.message(&method.output_proto_type, &method.output_type, code);
        let kind = match (method.client_streaming, method.server_streaming) {
            (false, false) => "Unary",
            (true, false) => "ClientStreaming",
            (false, true) => "ServerStreaming",
            (true, true) => "Duplex",
        };
        let _ = writeln!(
            code,
            "pub const METHOD_{service}_{method}: ::fanstream::grpcio::Method<{request}, {response}> =\n    \
             ::fanstream::engine::codec::method(::fanstream::grpcio::MethodType::{kind}, {name:?});",
            method = method.proto_name.to_shouty_snake_case(),
            name = format!("/{full_service}/{}", method.proto_name),
        );
    }
}

impl ServiceGenerator for Methods {
    fn generate(&mut self, service: Service, code: &mut String) {
        let name = service.proto_name.to_shouty_snake_case();
        let full_name = match service.package.as_str() {
            "" => service.proto_name,
            package => format!("{package}.{}", service.proto_name),
        };
        for method in &service.methods {
            self.method(&name, &full_name, method, code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_within_each_other() {
        let module = |path: &[&str], code: &str| {
            let path: Vec<String> = path.iter().map(|part| part.to_string()).collect();
            (path, format!("{code};\n"))
        };
        let modules = BTreeMap::from([
            module(&[], "root"),
            module(&["a"], "in_a"),
            module(&["a", "b", "r#type"], "in_type"),
            module(&["a", "c"], "in_c"),
            module(&["ab"], "in_ab"),
        ]);
        let source = nested(&modules);
        let lines = source.lines().map(str::trim);
        let code = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '/']));
        let expected = "root; pub mod a { in_a; pub mod b { pub mod r#type { in_type; } } \
             pub mod c { in_c; } } pub mod ab { in_ab; }";
        assert_eq!(code.collect::<Vec<_>>().join(" "), expected);
        assert!(source.contains("/// Package `a.b.type`."), "{source}");
    }
}
