//! The pages, whole.
