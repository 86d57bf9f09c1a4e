//! The compiled XDP programs, embedded at build time, aligned as an ELF parser wants it.

/// The load balancer's object; empty when this was built without `cargo xtask build`.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("VIADUCT_EBPF_OBJECT_EMBEDDED"));

/// The object for real servers behind a tunnel; empty likewise.
pub(super) static DECAP: &[u8] = aya::include_bytes_aligned!(env!("VIADUCT_DECAP_OBJECT_EMBEDDED"));
