//! How much memory this process may use: the smallest limit of its control groups and of the
//! machine. It reads files of the kernel; it must not know what the answer is for.

use std::fs;
use std::path::{Path, PathBuf};

use procfs::process::{MountInfo, Process};
use procfs::{Current, Meminfo, ProcessCGroup};

/// The limit in bytes; `None` where the kernel does not tell. Blocks while files are read.
pub(super) fn memory_limit() -> Option<u64> {
    let machine = Meminfo::current().ok().map(|memory| memory.mem_total);
    of_groups().into_iter().chain(machine).min()
}

/// The smallest limit of the control groups of this process, and of those around them.
fn of_groups() -> Option<u64> {
    let this = Process::myself().ok()?;
    let groups = this.cgroups().ok()?;
    let mounts = this.mountinfo().ok()?;
    let limits = mounts.iter().filter_map(|mount| {
        let hierarchy = Hierarchy::of(mount)?;
        let group = groups.0.iter().find(|group| hierarchy.has(group))?;
        let directory = directory(mount, &group.pathname);
        smallest(&mount.mount_point, &directory, hierarchy.file())
    });
    limits.min()
}

/// A tree of control groups that can limit memory.
#[derive(Clone, Copy)]
enum Hierarchy {
    V1,
    V2,
}

impl Hierarchy {
    fn of(mount: &MountInfo) -> Option<Hierarchy> {
        match mount.fs_type.as_str() {
            "cgroup2" => Some(Hierarchy::V2),
            "cgroup" if mount.super_options.contains_key("memory") => Some(Hierarchy::V1),
            _ => None,
        }
    }

    fn has(self, group: &ProcessCGroup) -> bool {
        match self {
            Hierarchy::V1 => group.controllers.iter().any(|name| name == "memory"),
            Hierarchy::V2 => group.hierarchy == 0,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Hierarchy::V1 => "memory.limit_in_bytes",
            Hierarchy::V2 => "memory.max",
        }
    }
}

/// The directory of `group` below its mount. In a container only a part of the tree may be mounted:
/// then the mount's root is a prefix of the group's path, or the path leads out of the mount.
fn directory(mount: &MountInfo, group: &str) -> PathBuf {
    let below = Path::new(group).strip_prefix(&mount.root);
    let below = below.unwrap_or(Path::new(""));
    let plain = below.components().all(|part| part.as_os_str() != "..");
    match plain {
        true => mount.mount_point.join(below),
        false => mount.mount_point.clone(),
    }
}

/// The smallest limit from `directory` up to `top`. A group without a limit says `max`, in version 1
/// a number beyond every machine's memory.
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

    fn mount(root: &str, top: &Path) -> MountInfo {
        let top = top.display();
        let line = format!("35 31 0:32 {root} {top} rw,relatime - cgroup2 cgroup rw");
        MountInfo::from_line(&line).unwrap()
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
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
        let machine = Meminfo::current().unwrap().mem_total;
        assert!((1..=machine).contains(&memory_limit().unwrap()));
    }
}
