//! The schemas that producers and consumers share, in `proto/`, and what keeps a change of them from breaking anyone.
//!
//! * [`files`]: the schemas in the folder, and as they were in a commit.
//! * [`compare`]: what a change means for those who know the old schema.
//! * [`manifest`]: the schemas as a Kubernetes ConfigMap.
#![allow(
    missing_docs,
    reason = "a lab is read from top to bottom; its README is the documentation"
)]

pub mod compare;
pub mod files;
pub mod manifest;
