//! The schemas as a Kubernetes ConfigMap, so that what runs in a cluster can mount them.

use crate::files::Schemas;
use anyhow::ensure;
use serde::Serialize;
use std::collections::BTreeMap;

/// Where the manifest is written, below the schemas' folder.
pub const PATH: &str = "k8s/configmap.yaml";

/// Kubernetes takes no ConfigMap that is larger.
const MAX_BYTES: usize = 1024 * 1024;

const HEAD: &str =
    "# Written by `make sync` from proto/. Change the schema there and run it again.\n";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigMap<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    data: &'a Schemas,
}

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
    labels: BTreeMap<&'static str, &'static str>,
}

/// The manifest's text.
pub fn manifest(schemas: &Schemas) -> anyhow::Result<String> {
    for name in schemas.keys() {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        ensure!(
            name.chars().all(allowed) && name.len() <= 253,
            "{name} cannot be a key of a ConfigMap. Use at most 253 letters, digits, `-`, `_` and `.`."
        );
    }
    let bytes: usize = schemas.iter().map(|(name, text)| name.len() + text.len()).sum();
    ensure!(
        bytes <= MAX_BYTES,
        "The schemas have {bytes} bytes together; a ConfigMap holds {MAX_BYTES} at most."
    );
    let map = ConfigMap {
        api_version: "v1",
        kind: "ConfigMap",
        metadata: Metadata {
            name: "event-schemas",
            labels: BTreeMap::from([("app.kubernetes.io/part-of", "kafka-labs")]),
        },
        data: schemas,
    };
    Ok(format!("{HEAD}{}", serde_yaml_ng::to_string(&map)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_yaml_ng::Value;

    #[test]
    fn what_goes_in_comes_out() {
        let schemas = Schemas::from([
            ("a.proto".to_owned(), "syntax = \"proto3\";\n\n// ': #\nmessage A {}\n".to_owned()),
            ("b.proto".to_owned(), "  // begins with blanks, ends without a line's end".to_owned()),
        ]);
        let text = manifest(&schemas).unwrap();
        let map: Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(map["kind"], "ConfigMap");
        for (name, text) in &schemas {
            assert_eq!(map["data"][name.as_str()], text.as_str());
        }
        assert!(text.contains("  a.proto: |\n    syntax = \"proto3\";\n"), "{text}");
    }

    #[test]
    fn kubernetes_limits_hold() {
        let named = |name: &str, text: &str| Schemas::from([(name.to_owned(), text.to_owned())]);
        assert!(manifest(&named("ä.proto", "")).is_err());
        assert!(manifest(&named("a.proto", &"x".repeat(MAX_BYTES))).is_err());
    }
}
