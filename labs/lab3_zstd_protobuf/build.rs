//! Rust types from the schema that all share. protox is a compiler of `.proto` files in Rust: no `protoc` to install.

const SCHEMAS: &str = "../schemas/proto";
const SCHEMA: &str = "user_event.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={SCHEMAS}");
    let descriptors = protox::compile([SCHEMA], [SCHEMAS])?;
    prost_build::Config::new()
        // A map in order: the same event gives the same bytes, always.
        .btree_map(["."])
        // JSON, for the comparison: names instead of numbers.
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
        .compile_fds(descriptors)?;
    Ok(())
}
