//! Homes on a local file system, confined by the kernel (`openat2`).
