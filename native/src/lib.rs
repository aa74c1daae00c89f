//! What runs once per row, in Rust. Each part has a twin in Python that says what is meant, runs where this module is
//! not to be had, and judges it in tests.

mod alike;
mod bytes;
mod copy;
mod fd;
mod json;
mod libpq;
mod memory;
mod pipe;
mod shape;
mod values;
mod wrap;

#[pyo3::pymodule]
mod connector_native {
    #[pymodule_export]
    use crate::alike::alike;
    #[pymodule_export]
    use crate::copy::CopyDecoder;
    #[pymodule_export]
    use crate::libpq::Libpq;
    #[pymodule_export]
    use crate::memory::keep_memory;
    #[pymodule_export]
    use crate::pipe::LineReader;
    #[pymodule_export]
    use crate::wrap::{one_line, Wrapped};

    /// Counts the changes of this interface: the Python side asks for the one that it was written for.
    #[pymodule_export]
    const INTERFACE: u32 = 5;
}
