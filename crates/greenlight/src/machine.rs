//! What the machine lends to a server: open files and memory, read from `/proc` and the control group.
//!
//! Owns the defaults that depend on it. Where the system says nothing (another system than Linux), they are small.

/// Files and sockets that are not connections: the database, segments, tables, upstream servers.
const OTHER_FILES: u64 = 192;
const MEMORY_OF_AN_UNKNOWN_MACHINE: u64 = 4 << 30;

/// The asked-for number of connections, or as many as the limit of open files leaves room for.
pub(crate) fn connections(asked: u32) -> u32 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let room =
        open_files(&limits).map_or(u64::from(asked), |files| files.saturating_sub(OTHER_FILES).max(16));
    let most = u32::try_from(room).unwrap_or(u32::MAX).min(asked);
    if most < asked {
        tracing::warn!(
            asked,
            most,
            "fewer connections than asked for: this process may not open more files; raise 'ulimit -n'"
        );
    }
    most
}

/// The soft limit of open files, from the text of `/proc/self/limits`; `None` when there is none.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Memory for models when nobody says: half of what this process may use.
pub(crate) fn model_memory() -> usize {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|t| t.trim().parse().ok());
    let bytes = [machine, group].into_iter().flatten().min().unwrap_or(MEMORY_OF_AN_UNKNOWN_MACHINE);
    usize::try_from(bytes / 2).unwrap_or(usize::MAX)
}

/// Bytes of memory, from the text of `/proc/meminfo`.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form that proc(5) describes.
    #[test]
    fn limits_and_memory_are_read_as_the_kernel_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             127235               127235               processes \n\
                      Max open files            1024                 1048576              files     \n";
        assert_eq!(open_files(limits), Some(1_024));
        assert_eq!(
            open_files("Max open files            unlimited            unlimited            files"),
            None
        );
        assert_eq!(total("MemTotal:       16327036 kB\nMemFree:  1 kB\n"), Some(16_327_036 * 1_024));
        assert_eq!(total(""), None);
    }
}
