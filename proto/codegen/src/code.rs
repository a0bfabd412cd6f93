//! What the generated code needs before `include!` takes it and another package can use it. It knows lines, no paths.

/// Packages that the generated code names, which `fanstream` exports.
const EXPORTED: [&str; 3] = ["grpcio", "protobuf", "futures"];

/// Generated code, ready to be included.
pub(crate) fn usable(code: &str) -> String {
    let lines = code.lines().filter(|line| !is_inner(line)).map(usable_line);
    let mut usable = String::with_capacity(code.len());
    for line in lines {
        usable += &line;
        usable.push('\n');
    }
    usable
}

/// Inner attributes and inner docs, which `include!` refuses; `#![allow(unsafe_code)]` would also undo a crate's
/// `forbid`. A note about versions is written as the doc of whatever follows, if anything does.
fn is_inner(line: &str) -> bool {
    ["#![", "//!", "///"]
        .iter()
        .any(|start| line.starts_with(start))
}

fn usable_line(line: &str) -> String {
    // The bytes of a descriptor, one string over many lines.
    if line.ends_with('\\') {
        return line.into();
    }
    // Private by grpcio's generator; a client or server that is not generated needs them.
    if line.starts_with("const METHOD_") {
        return format!("pub {}", exported(line));
    }
    exported(line)
}

/// `line` with paths such as `::grpcio::` as `::fanstream::grpcio::`, so that the package needs `fanstream` alone.
fn exported(line: &str) -> String {
    let mut changed = String::with_capacity(line.len() + 16);
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("::") {
        changed += before;
        // A path's start: `super::protobuf::` is a module of the user's own.
        let starts = !changed.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>');
        let names = |package: &str| {
            after
                .strip_prefix(package)
                .is_some_and(|rest| rest.starts_with("::"))
        };
        if starts && EXPORTED.iter().any(|package| names(package)) {
            changed += "::fanstream";
        }
        changed += "::";
        rest = after;
    }
    changed + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_through_fanstream() {
        assert_eq!(
            exported(
                "fn f(x: &::grpcio::Client) -> Vec<::protobuf::Chars> where F: ::futures::Future"
            ),
            "fn f(x: &::fanstream::grpcio::Client) -> Vec<::fanstream::protobuf::Chars> \
             where F: ::fanstream::futures::Future"
        );
        for same in [
            "super::protobuf::Message",
            "::std::vec::Vec",
            "::grpcio_x::Y",
            "a.b",
            "",
        ] {
            assert_eq!(exported(same), same);
        }
    }

    #[test]
    fn methods_are_public_and_inner_lines_go() {
        let code = "//! doc\n#![allow(x)]\n/// note\nconst METHOD_A: u8 = 1;\nconst OTHER: u8 = 2;\n    ::grpcio::\\\n";
        assert_eq!(
            usable(code),
            "pub const METHOD_A: u8 = 1;\nconst OTHER: u8 = 2;\n    ::grpcio::\\\n"
        );
    }
}
