//! Asks the C-core of this process for fanstream's patches (`scripts/ccore`), and says at a start
//! that they are missing. It must not know what each patch is for.

use std::sync::{Once, OnceLock};

use grpcio::channelz;

/// The version of the gRPC C-core that `grpcio` brings along.
pub const VERSION: &str = "1.56.2";

/// Whether the C-core of this program has fanstream's patches. Never blocks.
///
/// It has them if `CMAKE_TOOLCHAIN_FILE` named `ccore.cmake` when `grpcio-sys` was compiled:
/// `docs/building.md` says how a package does that. Without them a server works, but hostile
/// clients can stop it, and small messages take several times as much processor time.
pub fn is_patched() -> bool {
    knows("fanstream")
}

/// Whether the C-core says that it has something that a patch adds.
pub(crate) fn knows(what: &str) -> bool {
    static ADDED: OnceLock<String> = OnceLock::new();
    // The patches answer for this number, which no subchannel has. Neither answer needs the C-core
    // to be initialized: as shipped, it looks into a map.
    let added = ADDED.get_or_init(|| channelz::get_subchannel(0, str::to_owned));
    added.contains(what)
}

/// Logs that the patches are missing, once in a process.
pub(crate) fn warn_if_unpatched() {
    static FIRST: Once = Once::new();

    if !is_patched() {
        FIRST.call_once(warn);
    }
}

fn warn() {
    tracing::warn!(
        "the gRPC C-core was compiled without fanstream's patches: hostile clients can stop this \
         server, and small messages take several times as much processor time; see `The patches \
         in your package` in docs/building.md"
    );
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::super::testing::Events;
    use super::*;

    #[test]
    fn the_c_core_of_the_tests_is_patched() {
        assert!(is_patched());
        assert!(!knows("something else"));
        assert_eq!(Events::of(warn_if_unpatched), []);
    }

    #[test]
    fn the_warning_says_where_to_read() {
        let events = Events::of(warn);
        let [(Level::WARN, text)] = &events[..] else {
            panic!("{events:?}")
        };
        assert!(text.contains("docs/building.md"), "{text}");
    }

    #[test]
    fn the_version_is_that_of_the_lock_file() {
        let lock = include_str!("../../Cargo.lock");
        let (_, package) = lock.split_once("name = \"grpcio-sys\"\n").unwrap();
        let version = package.lines().next().unwrap();
        assert!(version.contains(&format!("+{VERSION}-")), "{version}");
    }
}
