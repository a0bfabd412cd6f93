//! Reads the memory limit of this process: the smallest of its control groups and the machine. It
//! must not know the use of the number.

use std::fs;
use std::path::Path;

/// Where systems and containers mount the control groups, the file with the limit, and the
/// controller: of version 2, and of version 1.
const GROUPS: [(&str, &str, &str); 2] = [
    ("/sys/fs/cgroup", "memory.max", ""),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory"),
];

/// Returns the limit in bytes, or `None` if the kernel does not report it. Blocks while files are
/// read.
pub(super) fn memory_limit() -> Option<u64> {
    let lines = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_groups = GROUPS
        .map(|(top, file, controller)| limit_of_groups(&lines, Path::new(top), file, controller));
    of_groups
        .into_iter()
        .flatten()
        .chain(machine_memory())
        .min()
}

/// The machine's memory in bytes.
fn machine_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let number = total.trim().strip_suffix("kB")?.trim();
    number.parse::<u64>().ok()?.checked_mul(1024)
}

/// The smallest limit of the process's groups and their ancestors. `lines` are those of
/// `/proc/self/cgroup`: `ID:CONTROLLERS:PATH`. In a container the paths may be those of the host;
/// then only the group at `top` is found, which is the container's.
fn limit_of_groups(lines: &str, top: &Path, file: &str, controller: &str) -> Option<u64> {
    let path = |line: &'_ str| -> Option<String> {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let is_here = controllers.split(',').any(|name| name == controller);
        is_here.then(|| path.trim_start_matches('/').to_owned())
    };
    let paths: Vec<String> = lines.lines().filter_map(path).collect();
    let groups = paths.iter().flat_map(|path| Path::new(path).ancestors());
    let limits = groups.filter_map(|group| {
        let text = fs::read_to_string(top.join(group).join(file)).ok()?;
        // Without a limit: `max`, or in version 1 a number beyond any machine's memory.
        text.trim().parse().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_limit_memory_too() {
        let top = tempfile::tempdir().unwrap();
        let group = top.path().join("a/b");
        fs::create_dir_all(&group).unwrap();
        let lines = "9:cpu,memory:/a/b\n3:pids:/a/other\n";
        let found = || limit_of_groups(lines, top.path(), "memory.max", "memory");
        assert_eq!(found(), None);
        fs::write(group.join("memory.max"), "max\n").unwrap();
        assert_eq!(found(), None);
        fs::write(top.path().join("a/memory.max"), "1000\n").unwrap();
        assert_eq!(found(), Some(1000));
        fs::write(group.join("memory.max"), "2000\n").unwrap();
        assert_eq!(found(), Some(1000));
        fs::write(top.path().join("memory.max"), "500\n").unwrap();
        assert_eq!(found(), Some(500));
        // Another file, and the group of another controller.
        fs::write(top.path().join("a/memory.other"), "1\n").unwrap();
        fs::create_dir(top.path().join("a/other")).unwrap();
        fs::write(top.path().join("a/other/memory.max"), "1\n").unwrap();
        assert_eq!(found(), Some(500));
    }

    #[test]
    fn the_limit_of_a_container_is_found_beside_the_paths_of_its_host() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("memory.max"), "700\n").unwrap();
        for lines in ["0::/docker/1\n", "0::/../2\n", ""] {
            let found = limit_of_groups(lines, top.path(), "memory.max", "");
            assert_eq!(found, (!lines.is_empty()).then_some(700), "{lines}");
        }
    }

    #[test]
    fn the_limit_is_no_more_than_the_machine_has() {
        let machine = machine_memory().unwrap();
        assert!((1..=machine).contains(&memory_limit().unwrap()));
    }
}
