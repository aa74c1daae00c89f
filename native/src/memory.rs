//! What the allocator of the C library does with memory that was freed.

use pyo3::prelude::*;

/// From this size on a piece of memory is one that the system gives and takes back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OF_ITS_OWN: libc::c_int = 8 << 20;
/// So much is kept, for what is wanted next.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 32 << 20;

/// Keep what was freed for what is wanted next: blocks of a megabyte and parts of five come and go, and to give their
/// memory back to the system each time costs as much as to compress a tenth of them. Other C libraries do as they like.
#[pyfunction]
#[allow(unsafe_code)]
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: these set two numbers of the allocator, under its lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OF_ITS_OWN);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
