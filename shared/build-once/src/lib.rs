//! Nothing but a list of dependencies, in `Cargo.toml`.
//!
//! Cargo builds a dependency with the features that the packages on its command line ask for. So `cargo test` in the
//! root, `cargo build` and `cargo run` in a lab's folder would each compile tokio, serde and the rest again. Every
//! program depends on this package, which asks for all of these features, and each dependency is compiled once.
//!
//! The test `each_dependency_is_compiled_once` in `labs/cli` names what is missing from the list.
