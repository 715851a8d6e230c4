//! What `/proc` says about the memory of a process.

use std::fs;

use super::error::BenchError;

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Memory of its own.
    pub(crate) own: u64,
    /// Resident pages of mapped files: volumes and the program itself. The page cache holds them
    /// anyway, and the kernel takes them back when it likes.
    pub(crate) mapped: u64,
}

/// Looks at the memory of a process.
pub(crate) fn look(pid: u32) -> Result<Memory, BenchError> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(BenchError::io("cannot read the status of a process"))?;
    let bytes = |key: &'static str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok())
            .map(|kibibytes| kibibytes * 1024)
            .ok_or(BenchError::Lacking {
                what: "the status of a process",
                field: key,
            })
    };
    Ok(Memory {
        own: bytes("RssAnon")? + bytes("RssShmem")?,
        mapped: bytes("RssFile")?,
    })
}
