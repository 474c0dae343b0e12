//! Clusters that AWS runs: what there is to do beside their stack.

pub(crate) mod anew;
pub mod blue_green;
pub mod names;
mod noted;
pub(crate) mod other_region;
mod publication;
pub mod standing;
pub(crate) mod upgrade;

pub use noted::SetUp;
pub(crate) use publication::publish;
