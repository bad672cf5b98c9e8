//! Makes Rust types of the schema. protox compiles `.proto` files in Rust, so there is no `protoc` to install.

use std::path::PathBuf;

const SCHEMA: &str = "user_event.proto";
/// The schema that all programs share.
const SHARED: &str = "../schemas/proto";
/// The same schema, one version later.
const NEXT: &str = "next";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={SHARED}");
    println!("cargo:rerun-if-changed={NEXT}");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    prost_build::Config::new()
        // A map in order: the same event always gives the same bytes.
        .btree_map(["."])
        // For the comparison: JSON, which carries names instead of numbers.
        .type_attribute(".", "#[derive(serde::Serialize)]")
        .field_attribute(
            "UserEvent.event_type",
            "#[serde(serialize_with = \"crate::event::type_name\")]",
        )
        .field_attribute(
            "UserEventData.email",
            "#[serde(skip_serializing_if = \"Option::is_none\")]",
        )
        .field_attribute(
            "UserEventData.username",
            "#[serde(skip_serializing_if = \"Option::is_none\")]",
        )
        .compile_fds(protox::compile([SCHEMA], [SHARED])?)?;

    let next = out.join("next");
    std::fs::create_dir_all(&next)?;
    prost_build::Config::new()
        .out_dir(next)
        .btree_map(["."])
        .compile_fds(protox::compile([SCHEMA], [NEXT])?)?;
    Ok(())
}
