//! Makes a field of another wire type an unknown field, as other implementations do. The code
//! generator makes it an error. It must not know files.
//!
//! The types of the `protobuf` package, such as `Timestamp`, and the key and value of a map's entry
//! are read by code of that package: there it stays an error.

use std::iter::once;

const VARINT: &str = "WireTypeVarint";
const FIXED32: &str = "WireTypeFixed32";
const FIXED64: &str = "WireTypeFixed64";
const LENGTH_DELIMITED: &str = "WireTypeLengthDelimited";

/// Returns the code with a condition on each arm that reads a field: its wire type fits. Other
/// fields reach the arm `_`, which keeps unknown fields and skips groups.
///
/// An arm in a form that is not known here stays unchanged.
pub(crate) fn check_in_arms(code: &str) -> String {
    let mut changed = String::with_capacity(code.len() + code.len() / 8);
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or_default();
        match arm_with_condition(line, next) {
            Some(arm) => changed += &arm,
            None => changed += line,
        }
        changed.push('\n');
    }
    changed
}

/// Returns the first line of an arm such as `1 => {` with the condition of the statement in the
/// next line.
fn arm_with_condition(line: &str, next: &str) -> Option<String> {
    let pattern = line.strip_suffix(" => {")?;
    pattern.trim_start().parse::<u32>().ok()?;
    Some(format!("{pattern} if {} => {{", condition(next.trim())?))
}

/// Returns the condition under which the statement does not fail for the wire type.
fn condition(statement: &str) -> Option<String> {
    if let Some(check) = statement.strip_prefix("if wire_type != ") {
        let wire_type = check.strip_suffix(" {")?;
        return Some(format!("wire_type == {wire_type}"));
    }
    // `::protobuf::rt::read_repeated_int32_into(wire_type, is, &mut self.numbers)?;`
    let (protobuf, call) = statement.split_once("::rt::read_")?;
    let (function, arguments) = call.split_once("_into")?;
    if !arguments.contains("(wire_type, is, ") {
        return None;
    }
    let checks = accepted(function)?
        .into_iter()
        .map(|name| format!("wire_type == {protobuf}::wire_format::{name}"));
    Some(checks.collect::<Vec<_>>().join(" || "))
}

/// Returns the wire types that a function of `protobuf::rt` accepts. `function` is its name without
/// `read_` and `_into`.
fn accepted(function: &str) -> Option<Vec<&'static str>> {
    let kind = function
        .trim_end_matches("_with_unknown_fields")
        .rsplit('_')
        .next()?;
    let single = match kind {
        "int32" | "int64" | "uint32" | "uint64" | "sint32" | "sint64" | "bool" | "enum" => VARINT,
        "fixed32" | "sfixed32" | "float" => FIXED32,
        "fixed64" | "sfixed64" | "double" => FIXED64,
        "string" | "bytes" | "message" | "map" => LENGTH_DELIMITED,
        _ => return None,
    };
    // Repeated numbers may arrive packed or one by one, whatever the proto says.
    let numbers = function.starts_with("repeated_") && single != LENGTH_DELIMITED;
    let packed = numbers.then_some(LENGTH_DELIMITED);
    Some(once(single).chain(packed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the condition on an arm with this statement, with short names of wire types.
    fn on_arm(statement: &str) -> Option<String> {
        let code = format!("    7 => {{\n        {statement}\n    }},\n");
        let changed = check_in_arms(&code);
        let (arm, rest) = changed.split_once('\n').unwrap();
        assert_eq!(Some(rest), code.split_once('\n').map(|(_, rest)| rest));
        let condition = arm.strip_prefix("    7")?.strip_suffix(" => {")?;
        let condition = condition.strip_prefix(" if ")?;
        Some(condition.replace("wire_type == ::protobuf::wire_format::WireType", ""))
    }

    /// As [`on_arm`], for a call of this function of `protobuf::rt`.
    fn on_call(function: &str) -> Option<String> {
        on_arm(&format!(
            "::protobuf::rt::read_{function}(wire_type, is, &mut self.x)?;"
        ))
    }

    #[test]
    fn a_check_in_the_arm_becomes_its_condition() {
        for name in ["Varint", "Fixed32", "Fixed64", "LengthDelimited"] {
            let check = format!("if wire_type != ::protobuf::wire_format::WireType{name} {{");
            assert_eq!(on_arm(&check).as_deref(), Some(name));
        }
    }

    #[test]
    fn texts_messages_and_maps_are_length_delimited() {
        for function in [
            "singular_string_into",
            "singular_proto3_bytes_into",
            "singular_carllerche_string_into",
            "singular_proto3_carllerche_bytes_into",
            "singular_message_into",
            "repeated_string_into",
            "repeated_carllerche_bytes_into",
            "repeated_message_into",
            "map_into::<::protobuf::types::ProtobufTypeInt32, ::protobuf::types::ProtobufTypeBool>",
        ] {
            let condition = on_call(function);
            assert_eq!(condition.as_deref(), Some("LengthDelimited"), "{function}");
        }
    }

    #[test]
    fn repeated_numbers_may_be_packed() {
        for (kind, single) in [
            ("sint32", "Varint"),
            ("bool", "Varint"),
            ("sfixed32", "Fixed32"),
            ("float", "Fixed32"),
            ("fixed64", "Fixed64"),
            ("double", "Fixed64"),
        ] {
            let expected = format!("{single} || LengthDelimited");
            let condition = on_call(&format!("repeated_{kind}_into"));
            assert_eq!(condition, Some(expected), "{kind}");
        }
    }

    #[test]
    fn enums_are_numbers() {
        for (repetition, expected) in [
            ("proto2", "Varint"),
            ("proto3", "Varint"),
            ("repeated", "Varint || LengthDelimited"),
        ] {
            let condition = on_arm(&format!(
                "::protobuf::rt::read_{repetition}_enum_with_unknown_fields_into(\
                 wire_type, is, &mut self.x, 7, &mut self.unknown_fields)?"
            ));
            assert_eq!(condition.as_deref(), Some(expected), "{repetition}");
        }
    }

    #[test]
    fn unknown_forms_stay_unchanged() {
        assert_eq!(on_call("singular_group_into"), None);
        assert_eq!(on_arm("self.x = is.read_int32()?;"), None);
        let read = "::protobuf::rt::read_singular_string_into(wire_type, is, &mut self.x)?;";
        for arm in ["_ => {", "7 => Some(1),", "x => {", "7 => {\\"] {
            let code = format!("{arm}\n{read}\n");
            assert_eq!(check_in_arms(&code), code);
        }
        assert_eq!(check_in_arms("7 => {"), "7 => {\n");
        assert_eq!(check_in_arms(""), "");
    }

    #[test]
    fn the_path_of_the_package_is_kept() {
        let read = "::a::protobuf::rt::read_repeated_bool_into(wire_type, is, &mut self.x)?;";
        let condition = "wire_type == ::a::protobuf::wire_format::WireTypeVarint \
                         || wire_type == ::a::protobuf::wire_format::WireTypeLengthDelimited";
        assert_eq!(
            check_in_arms(&format!("1 => {{\n{read}\n")),
            format!("1 if {condition} => {{\n{read}\n")
        );
    }
}
