//! The flow key.
