//! Descriptors as proto text, as a person would write it. Types have their full names. Options,
//! reserved names and extensions are left out, apart from `default` and `deprecated`.

use std::fmt::Write;

use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor, Syntax,
};

use super::visible::drives_terminal;

/// The declaration of `symbol`; of a field or a value, the type that it belongs to. `None` when
/// there is none.
pub(super) fn of(pool: &DescriptorPool, symbol: &str) -> Option<String> {
    let mut text = Text::default();
    if let Some(service) = pool.get_service_by_name(symbol) {
        text.origin(symbol, service.parent_file().name());
        text.service(&service);
        return Some(text.0);
    }
    if let Some(message) = pool.get_message_by_name(symbol) {
        text.origin(symbol, message.parent_file().name());
        text.message(&message, 0);
        return Some(text.0);
    }
    if let Some(found) = pool.get_enum_by_name(symbol) {
        text.origin(symbol, found.parent_file().name());
        text.enumeration(&found, 0);
        return Some(text.0);
    }
    let (parent, name) = symbol.rsplit_once('.')?;
    if let Some(service) = pool.get_service_by_name(parent) {
        let method = service.methods().find(|method| method.name() == name)?;
        text.origin(symbol, service.parent_file().name());
        text.method(&method, 0);
        return Some(text.0);
    }
    if let Some(message) = pool.get_message_by_name(parent) {
        let is_oneof = message.oneofs().any(|oneof| oneof.name() == name);
        if is_oneof || message.get_field_by_name(name).is_some() {
            return of(pool, parent);
        }
    }
    let mut enums = pool.all_enums();
    let found = enums.find(|e| e.values().any(|value| value.full_name() == symbol))?;
    of(pool, found.full_name())
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, depth: usize, line: &str) {
        let _ = writeln!(self.0, "{:1$}{line}", "", depth * 2); // writing to a String cannot fail
    }

    fn origin(&mut self, symbol: &str, file: &str) {
        self.line(0, &format!("// {symbol}, of {file}"));
    }

    fn comment(&mut self, file: &FileDescriptorProto, path: &[i32], depth: usize) {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let location = locations.into_iter().find(|l| l.path == path);
        let comment = location.map(|l| l.leading_comments());
        for line in comment.unwrap_or_default().lines() {
            self.line(depth, format!("//{line}").trim_end());
        }
    }

    fn service(&mut self, service: &ServiceDescriptor) {
        self.comment(service.parent_file_descriptor_proto(), service.path(), 0);
        self.line(0, &format!("service {} {{", service.name()));
        for method in service.methods() {
            self.method(&method, 1);
        }
        self.line(0, "}");
    }

    fn method(&mut self, method: &MethodDescriptor, depth: usize) {
        let file = method.parent_file();
        self.comment(file.file_descriptor_proto(), method.path(), depth);
        let stream = |streams| if streams { "stream " } else { "" };
        let line = format!(
            "rpc {}({}{}) returns ({}{});",
            method.name(),
            stream(method.is_client_streaming()),
            method.input().full_name(),
            stream(method.is_server_streaming()),
            method.output().full_name()
        );
        self.line(depth, &line);
    }

    fn message(&mut self, message: &MessageDescriptor, depth: usize) {
        let file = message.parent_file_descriptor_proto();
        self.comment(file, message.path(), depth);
        self.line(depth, &format!("message {} {{", message.name()));
        for nested in message.child_enums() {
            self.enumeration(&nested, depth + 1);
        }
        for nested in message.child_messages().filter(|m| !m.is_map_entry()) {
            self.message(&nested, depth + 1);
        }
        let mut fields: Vec<_> = message.fields().collect();
        fields.sort_by(|a, b| a.path().cmp(b.path())); // as they are declared
        let mut within = None;
        for field in fields {
            let oneof = field.containing_oneof().filter(|o| !o.is_synthetic());
            if oneof != within {
                if within.is_some() {
                    self.line(depth + 1, "}");
                }
                if let Some(oneof) = &oneof {
                    self.comment(file, oneof.path(), depth + 1);
                    self.line(depth + 1, &format!("oneof {} {{", oneof.name()));
                }
                within = oneof;
            }
            let depth = depth + 1 + usize::from(within.is_some());
            self.comment(file, field.path(), depth);
            self.line(depth, &field_text(&field));
        }
        if within.is_some() {
            self.line(depth + 1, "}");
        }
        self.line(depth, "}");
    }

    fn enumeration(&mut self, found: &EnumDescriptor, depth: usize) {
        let file = found.parent_file_descriptor_proto();
        self.comment(file, found.path(), depth);
        self.line(depth, &format!("enum {} {{", found.name()));
        let mut values: Vec<_> = found.values().collect();
        values.sort_by(|a, b| a.path().cmp(b.path())); // as they are declared
        for value in values {
            self.comment(file, value.path(), depth + 1);
            let line = format!("{} = {};", value.name(), value.number());
            self.line(depth + 1, &line);
        }
        self.line(depth, "}");
    }
}

fn field_text(field: &FieldDescriptor) -> String {
    let proto = field.field_descriptor_proto();
    let proto2 = field.parent_file().syntax() == Syntax::Proto2;
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => format!(
            "map<{}, {}>",
            kind_text(&entry.map_entry_key_field().kind()),
            kind_text(&entry.map_entry_value_field().kind())
        ),
        kind => kind_text(&kind),
    };
    let label = match field.cardinality() {
        _ if field.is_map() => "",
        Cardinality::Repeated => "repeated ",
        Cardinality::Required => "required ",
        Cardinality::Optional if proto.proto3_optional() => "optional ",
        Cardinality::Optional if proto2 && field.containing_oneof().is_none() => "optional ",
        Cardinality::Optional => "",
    };
    let mut options = Vec::new();
    if let Some(default) = &proto.default_value {
        options.push(match field.kind() {
            Kind::String => format!("default = {}", string_literal(default)),
            // The descriptor has it with escapes.
            Kind::Bytes => format!("default = \"{default}\""),
            _ => format!("default = {default}"),
        });
    }
    if proto.options.as_ref().is_some_and(|o| o.deprecated()) {
        options.push("deprecated = true".into());
    }
    let options = match options.as_slice() {
        [] => String::new(),
        some => format!(" [{}]", some.join(", ")),
    };
    format!(
        "{label}{kind} {} = {}{options};",
        field.name(),
        field.number()
    )
}

/// The text as a string of a proto file.
fn string_literal(text: &str) -> String {
    let mut literal = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            '\n' => literal.push_str("\\n"),
            '\t' => literal.push_str("\\t"),
            c if drives_terminal(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(literal, "\\{byte:03o}"); // writing to a String cannot fail
                }
            }
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

fn kind_text(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().into(),
        Kind::Enum(found) => found.full_name().into(),
        // Its `Debug` is the proto's word for it.
        scalar => format!("{scalar:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::DESCRIPTORS;

    fn text(symbol: &str) -> Option<String> {
        of(&DescriptorPool::decode(DESCRIPTORS).unwrap(), symbol)
    }

    #[test]
    fn a_service_reads_as_in_its_file() {
        let wanted = "\
// protobuf.StreamService, of stream.proto
// One request, many responses: the contract of the original Go tutorial.
service StreamService {
  rpc FetchResponse(protobuf.Request) returns (stream protobuf.Response);
}
";
        assert_eq!(text("protobuf.StreamService").unwrap(), wanted);
        let method = text("protobuf.StreamService.FetchResponse").unwrap();
        assert!(method.ends_with(
            "\nrpc FetchResponse(protobuf.Request) returns (stream protobuf.Response);\n"
        ));
    }

    #[test]
    fn messages_have_maps_oneofs_enums_and_labels() {
        let list = text("grpc.health.v1.HealthListResponse").unwrap();
        let map = "\n  map<string, grpc.health.v1.HealthCheckResponse> statuses = 1;\n";
        assert!(list.contains(map), "{list}");
        let check = text("grpc.health.v1.HealthCheckResponse").unwrap();
        assert!(check.contains("\n  enum ServingStatus {\n    UNKNOWN = 0;\n"));
        let request = text("grpc.reflection.v1.ServerReflectionRequest").unwrap();
        assert!(request.contains("\n  string host = 1;\n"), "{request}");
        assert!(request.contains("\n  oneof message_request {\n"));
        assert!(request.contains("\n    string list_services = 7;\n  }\n}\n"));
        let files = text("grpc.reflection.v1.FileDescriptorResponse").unwrap();
        assert!(files.contains("\n  repeated bytes file_descriptor_proto = 1;\n"));
    }

    #[test]
    fn defaults_are_proto_text() {
        use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
        use prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto};

        let field = |number, kind: Type, default: &str| FieldDescriptorProto {
            name: Some(format!("f{number}")),
            number: Some(number),
            label: Some(Label::Optional.into()),
            r#type: Some(kind.into()),
            default_value: Some(default.into()),
            ..FieldDescriptorProto::default()
        };
        let message = DescriptorProto {
            name: Some("Defaults".into()),
            field: vec![
                field(1, Type::String, "a\"b\\\n\u{1b}[2J\u{9b}ä"),
                field(2, Type::Bytes, r"\001a"),
                field(3, Type::Int32, "-7"),
            ],
            ..DescriptorProto::default()
        };
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_proto(FileDescriptorProto {
            name: Some("defaults.proto".into()),
            syntax: Some("proto2".into()),
            message_type: vec![message],
            ..FileDescriptorProto::default()
        })
        .unwrap();
        let text = of(&pool, "Defaults").unwrap();
        for wanted in [
            r#"optional string f1 = 1 [default = "a\"b\\\n\033[2J\302\233ä"];"#,
            r#"optional bytes f2 = 2 [default = "\001a"];"#,
            "optional int32 f3 = 3 [default = -7];",
        ] {
            assert!(text.contains(wanted), "{text}");
        }
    }

    #[test]
    fn members_lead_to_what_they_belong_to() {
        let message = text("protobuf.Request");
        assert!(message.is_some());
        assert_eq!(text("protobuf.Request.id").unwrap(), message.unwrap());
        let value = text("grpc.health.v1.HealthCheckResponse.SERVING").unwrap();
        assert!(value.contains("\nenum ServingStatus {\n"), "{value}");
        for unknown in ["protobuf", "protobuf.Request.no", "Request", ""] {
            assert_eq!(text(unknown), None, "{unknown}");
        }
    }
}
