//! Rewrites generated code so that `include!` accepts it and it refers to `fanstream` only. It must
//! not know files.

/// Packages used by the generated code, which `fanstream` re-exports.
const EXPORTED: [&str; 3] = ["grpcio", "protobuf", "futures"];

/// Returns the code in a form that can be included.
pub(crate) fn make_includable(code: &str) -> String {
    let lines = code.lines().filter(|line| !is_inner(line)).map(usable_line);
    let mut usable = String::with_capacity(code.len());
    for line in lines {
        usable += &line;
        usable.push('\n');
    }
    usable
}

/// Returns true for inner attributes and inner docs, which `include!` refuses
/// (`#![allow(unsafe_code)]` would also conflict with a crate's `forbid`), and for the outer doc
/// with versions, which may have no item below it.
fn is_inner(line: &str) -> bool {
    ["#![", "//!", "///"]
        .iter()
        .any(|start| line.starts_with(start))
}

fn usable_line(line: &str) -> String {
    // Part of a descriptor: a string literal over many lines.
    if line.ends_with('\\') {
        return line.into();
    }
    // grpcio's generator makes them private, but `fanstream`'s client and server need them.
    if line.starts_with("const METHOD_") {
        return format!("pub {}", exported(line));
    }
    exported(line)
}

/// Replaces paths such as `::grpcio::` by `::fanstream::grpcio::`, so that the package needs no
/// other dependency.
fn exported(line: &str) -> String {
    let mut changed = String::with_capacity(line.len() + 16);
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("::") {
        changed += before;
        // Only at the start of a path: `super::protobuf::` is a module of the user.
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
    fn methods_become_public_and_inner_lines_are_removed() {
        let code = "//! doc\n#![allow(x)]\n/// note\nconst METHOD_A: u8 = 1;\nconst OTHER: u8 = 2;\n    ::grpcio::\\\n";
        assert_eq!(
            make_includable(code),
            "pub const METHOD_A: u8 = 1;\nconst OTHER: u8 = 2;\n    ::grpcio::\\\n"
        );
    }
}
