//! Reads the memory limit of this process (the smallest of its control groups and the machine) and
//! its resident memory, from files of the kernel. It must not know the use of the numbers.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the limit in bytes, or `None` if the kernel does not report it. Blocks while files are
/// read.
pub(super) fn memory_limit() -> Option<u64> {
    of_groups().into_iter().chain(machine_memory()).min()
}

/// The machine's memory in bytes.
fn machine_memory() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// Returns the resident memory in bytes, or `None` if the kernel does not report it.
pub(super) fn resident() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The value of a line such as `VmRSS:  1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number = value.trim().strip_suffix("kB")?.trim();
    number.parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns the smallest limit of the process's control groups and their ancestors.
fn of_groups() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let limits = mounts.lines().filter_map(Mount::parse).filter_map(|mount| {
        let hierarchy = Hierarchy::of(&mount)?;
        let group = groups.lines().find_map(|line| hierarchy.group(line))?;
        let directory = directory(&mount, group);
        smallest(&mount.point, &directory, hierarchy.file())
    });
    limits.min()
}

/// A line of `/proc/self/mountinfo`.
#[derive(Debug)]
struct Mount<'a> {
    /// The mounted directory of the file system.
    root: &'a str,
    point: PathBuf,
    file_system: &'a str,
    /// Options of the file system, separated by commas.
    options: &'a str,
}

impl Mount<'_> {
    fn parse(line: &str) -> Option<Mount<'_>> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut file_system = file_system.split(' ');
        Some(Mount {
            root,
            // The kernel escapes a space.
            point: point.replace("\\040", " ").into(),
            file_system: file_system.next()?,
            options: file_system.nth(1)?,
        })
    }
}

/// A tree of control groups that can limit memory.
#[derive(Clone, Copy)]
enum Hierarchy {
    V1,
    V2,
}

impl Hierarchy {
    fn of(mount: &Mount<'_>) -> Option<Hierarchy> {
        match mount.file_system {
            "cgroup2" => Some(Hierarchy::V2),
            "cgroup" if mount.options.split(',').any(|option| option == "memory") => {
                Some(Hierarchy::V1)
            }
            _ => None,
        }
    }

    /// The path of a group in this tree, given a line of `/proc/self/cgroup`:
    /// `ID:CONTROLLERS:PATH`.
    fn group(self, line: &str) -> Option<&str> {
        let (id, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_here = match self {
            Hierarchy::V1 => controllers.split(',').any(|name| name == "memory"),
            Hierarchy::V2 => id == "0",
        };
        is_here.then_some(path)
    }

    fn file(self) -> &'static str {
        match self {
            Hierarchy::V1 => "memory.limit_in_bytes",
            Hierarchy::V2 => "memory.max",
        }
    }
}

/// Returns the directory of `group` below its mount. A container may mount only a part of the tree.
/// Then the mount's root is a prefix of the group's path, or the path leads out of the mount.
fn directory(mount: &Mount<'_>, group: &str) -> PathBuf {
    let below = Path::new(group).strip_prefix(mount.root);
    let below = below.unwrap_or(Path::new(""));
    let is_inside = below.components().all(|part| part.as_os_str() != "..");
    match is_inside {
        true => mount.point.join(below),
        false => mount.point.clone(),
    }
}

/// Returns the smallest limit from `directory` up to `top`. A group without a limit has `max` in
/// its file, or in version 1 a number beyond any machine's memory.
fn smallest(top: &Path, directory: &Path, file: &str) -> Option<u64> {
    let groups = directory
        .ancestors()
        .take_while(|group| group.starts_with(top));
    let limits = groups.filter_map(|group| {
        let text = fs::read_to_string(group.join(file)).ok()?;
        text.trim().parse().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount<'a>(root: &'a str, top: &Path) -> Mount<'a> {
        Mount {
            root,
            point: top.into(),
            file_system: "cgroup2",
            options: "rw",
        }
    }

    #[test]
    fn trees_and_groups_are_found() {
        let found = |line| {
            let mount = Mount::parse(line)?;
            let hierarchy = Hierarchy::of(&mount)?;
            let groups = ["9:cpu,memory:/v1", "3:cpu:/other", "0::/v2"];
            let group = groups.iter().find_map(|line| hierarchy.group(line))?;
            Some((mount.point, group))
        };
        assert_eq!(
            found("35 31 0:32 / /sys/fs/a\\040b rw,relatime shared:9 - cgroup2 cgroup rw"),
            Some(("/sys/fs/a b".into(), "/v2"))
        );
        assert_eq!(
            found("36 31 0:33 / /m rw - cgroup cgroup rw,memory"),
            Some(("/m".into(), "/v1"))
        );
        assert_eq!(found("36 31 0:33 / /m rw - cgroup cgroup rw,cpu"), None);
        assert_eq!(found("37 31 0:34 / / rw - ext4 /dev/a rw"), None);
        assert_eq!(found("odd"), None);
    }

    #[test]
    fn the_kernels_kilobytes() {
        let text = "VmPeak:\t  9 kB\nVmRSS:\t  12 kB\n";
        assert_eq!(kilobytes(text, "VmRSS:"), Some(12 * 1024));
        assert_eq!(kilobytes(text, "VmSwap:"), None);
        assert!(resident().unwrap() > 1 << 20);
    }

    #[test]
    fn ancestors_limit_memory_too() {
        let top = tempfile::tempdir().unwrap();
        let group = top.path().join("a/b");
        fs::create_dir_all(&group).unwrap();
        let found = || smallest(top.path(), &group, "memory.max");
        assert_eq!(found(), None);
        fs::write(group.join("memory.max"), "max\n").unwrap();
        assert_eq!(found(), None);
        fs::write(top.path().join("a/memory.max"), "1000\n").unwrap();
        assert_eq!(found(), Some(1000));
        fs::write(group.join("memory.max"), "2000\n").unwrap();
        assert_eq!(found(), Some(1000));
        fs::write(top.path().join("memory.max"), "500\n").unwrap();
        assert_eq!(found(), Some(500));
        // Not of this tree.
        fs::write(top.path().join("a/memory.other"), "1\n").unwrap();
        assert_eq!(found(), Some(500));
    }

    #[test]
    fn a_group_is_found_where_only_a_part_of_the_tree_is_mounted() {
        let top = Path::new("/groups");
        for (root, group, directory_of) in [
            ("/", "/", "/groups/"),
            ("/", "/system/server", "/groups/system/server"),
            ("/docker/1", "/docker/1", "/groups/"),
            ("/docker/1", "/docker/1/server", "/groups/server"),
            // Moved, or of another namespace.
            ("/docker/1", "/docker/2", "/groups"),
            ("/", "/../2", "/groups"),
        ] {
            let found = directory(&mount(root, top), group);
            assert_eq!(found, Path::new(directory_of), "{root} {group}");
        }
    }

    #[test]
    fn the_limit_is_no_more_than_the_machine_has() {
        let machine = machine_memory().unwrap();
        assert!((1..=machine).contains(&memory_limit().unwrap()));
    }
}
