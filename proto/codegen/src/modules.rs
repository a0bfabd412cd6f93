//! Selects the files that become modules, and writes the source that declares them. It must not
//! know the generated code.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use protobuf::descriptor::{FileDescriptorProto, FileDescriptorSet};
use protobuf::descriptorx::proto_path_to_rust_mod;

use crate::Error;

/// The package of the well-known types, which are in the crates `protobuf` and `prost-types`.
pub(crate) const GOOGLE: &str = "google.protobuf";

/// A file with generated code.
pub(crate) struct Module {
    /// protoc's name of the file.
    pub(crate) proto: String,
    name: String,
    has_services: bool,
}

impl Module {
    /// Returns the names of its modules: messages, then services.
    fn names(&self) -> impl Iterator<Item = String> {
        let services = self.has_services.then(|| format!("{}_grpc", self.name));
        [self.name.clone()].into_iter().chain(services)
    }

    /// Returns the names of the generated files.
    pub(crate) fn files(&self) -> impl Iterator<Item = String> {
        self.names().map(|name| format!("{name}.rs"))
    }
}

/// Returns the descriptors of `files` and their imports, without Google's, by file name.
pub(crate) fn with_imports<'a>(
    set: &'a FileDescriptorSet,
    files: &'a [String],
) -> BTreeMap<&'a str, &'a FileDescriptorProto> {
    let described: HashMap<&str, &FileDescriptorProto> = set
        .get_file()
        .iter()
        .map(|file| (file.get_name(), file))
        .collect();
    let mut protos = BTreeMap::new();
    let mut open: Vec<&str> = files.iter().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        let Some(proto) = described.get(name) else {
            continue;
        };
        if proto.get_package() != GOOGLE && protos.insert(name, *proto).is_none() {
            open.extend(proto.get_dependency().iter().map(String::as_str));
        }
    }
    protos
}

/// Returns the modules of `files` and their imports, sorted by file name.
pub(crate) fn of(set: &FileDescriptorSet, files: &[String]) -> Result<Vec<Module>, Error> {
    let protos = with_imports(set, files);
    let modules = protos
        .into_values()
        .map(module)
        .collect::<Result<Vec<_>, _>>()?;

    let mut taken = HashMap::new();
    for module in &modules {
        for name in module.names() {
            if let Some(first) = taken.insert(name.clone(), module.proto.clone()) {
                return Err(Error::SameModule {
                    module: name,
                    first,
                    second: module.proto.clone(),
                });
            }
        }
    }
    for (module, proto) in google_modules(&modules, set) {
        if let Some(first) = taken.get(&module) {
            return Err(Error::SameModule {
                module,
                first: first.clone(),
                second: proto,
            });
        }
    }
    Ok(modules)
}

fn module(proto: &FileDescriptorProto) -> Result<Module, Error> {
    let empty =
        |service: &&protobuf::descriptor::ServiceDescriptorProto| service.get_method().is_empty();
    if let Some(service) = proto.get_service().iter().find(empty) {
        return Err(Error::EmptyService {
            file: proto.get_name().into(),
            service: service.get_name().into(),
        });
    }
    Ok(Module {
        proto: proto.get_name().into(),
        name: proto_path_to_rust_mod(proto.get_name()),
        has_services: !proto.get_service().is_empty(),
    })
}

/// Returns the modules (and their files) of Google's types that are requests or responses of
/// methods, such as `empty`. Generated code for methods expects these modules next to it; fields
/// use `protobuf::well_known_types` instead.
fn google_modules(modules: &[Module], set: &FileDescriptorSet) -> BTreeSet<(String, String)> {
    let generated =
        |file: &&FileDescriptorProto| modules.iter().any(|module| module.proto == file.get_name());
    let methods = set.get_file().iter().filter(generated).flat_map(|file| {
        file.get_service()
            .iter()
            .flat_map(|service| service.get_method())
    });
    let types: BTreeSet<&str> = methods
        .flat_map(|method| [method.get_input_type(), method.get_output_type()])
        .filter_map(|name| name.strip_prefix(".google.protobuf."))
        .collect();
    let used = |file: &&FileDescriptorProto| {
        file.get_package() == GOOGLE
            && file
                .get_message_type()
                .iter()
                .any(|message| types.contains(message.get_name()))
    };
    let used = set.get_file().iter().filter(used);
    used.map(|file| {
        (
            proto_path_to_rust_mod(file.get_name()),
            file.get_name().into(),
        )
    })
    .collect()
}

/// Returns the source that declares the modules. It is in the directory of the generated files.
pub(crate) fn source(modules: &[Module], set: &FileDescriptorSet) -> String {
    let mut source = String::new();
    let mut declare = |doc: &str, name: &str, content: &str| {
        source += &format!(
            "\n/// {doc}\n#[allow(missing_docs, warnings, clippy::all)]\npub mod {name} {{\n    {content}\n}}\n"
        );
    };
    for module in modules {
        for name in module.names() {
            let what = if name == module.name {
                "Messages and enums"
            } else {
                "Services"
            };
            let doc = format!("{what} of `{}`.", module.proto);
            declare(&doc, &name, &format!("include!(\"{name}.rs\");"));
        }
    }
    for (name, proto) in google_modules(modules, set) {
        let content = "pub use ::fanstream::protobuf::well_known_types::*;";
        declare(&format!("Messages of `{proto}`."), &name, content);
    }
    source
}
